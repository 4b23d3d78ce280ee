"""Saved methods: brought by the payer, seen by its own, charged without it, taken away, erased."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from payment_service.services import comparing_methods
from tests.books import execute, rows
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.patience import CLOCKLESS
from tests.sandbox_calls import post as told
from tests.sandbox_server import Sandbox
from tests.stripe_calls import KEY, listed
from tests.tokens import SECURED, a_token, bearing

ME = "/v1/customers/me"
MINE = f"{ME}/payment-methods"
SERVICE = bearing(a_token())


@pytest.fixture(scope="module")
def app(make_app: MakeApp, sandbox: Sandbox) -> Flask:
    return make_app(
        **CLOCKLESS,
        **SECURED,
        trip_service_url=None,
        stripe_api_key=KEY,
        stripe_api_base=f"{sandbox.url}/stripe",
        stripe_publishable_key="pk_test_sandbox",
        provider_routes="CARD=stripe",
    )


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    yield app.test_client()
    execute(app, "UPDATE provider_customers SET due_at = NULL WHERE erase_asked_at IS NULL")


def as_rider(rider: int) -> dict[str, str]:
    return bearing(a_token(sub=str(rider), role="rider", scope=None))


def compare(app: Flask) -> dict[str, int]:
    """All that is waited for is due now."""
    execute(app, "UPDATE provider_customers SET due_at = now() WHERE due_at IS NOT NULL")
    with app.app_context():
        return comparing_methods.run_once()


def begun(client: FlaskClient, rider: int) -> dict[str, Any]:
    answer = client.post(MINE, json={}, headers=as_rider(rider))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json
    return found


def setup_of(begun: dict[str, Any]) -> str:
    """The provider's id: a client_secret begins with it."""
    return str(begun["next_action"]["client_secret"].partition("_secret_")[0])


def brings(sandbox: Sandbox, setup: dict[str, Any], card: str = "pm_card_visa") -> str:
    answer = told(sandbox, f"/stripe/setups/{setup_of(setup)}", payment_method=card)
    assert answer.ok, answer.text
    return str(answer.json()["payment_method"])


def saved(app: Flask, client: FlaskClient, sandbox: Sandbox, rider: int, **more: str) -> Any:
    """A method that the rider has saved."""
    brings(sandbox, begun(client, rider), **more)
    compare(app)
    return of(client, rider)[0]


def of(client: FlaskClient, rider: int) -> list[dict[str, Any]]:
    answer = client.get(MINE, headers=as_rider(rider))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json["payment_methods"]
    return found


def charge(client: FlaskClient, method: dict[str, Any], **changes: Any) -> TestResponse:
    return client.post(
        "/v1/payments/charge",
        json=an_order(payment_method_id=method["payment_method_id"], **changes),
        headers={"Idempotency-Key": a_key(), **SERVICE},
    )


def intent_of(sandbox: Sandbox, payment: dict[str, Any]) -> dict[str, Any]:
    mine = f"{payment['reference']}-1"
    found = listed(sandbox, "payment_intents")
    return next(one for one in found if one["metadata"].get("reference") == mine)


def test_a_card_is_saved_and_charged_without_its_payer(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    rider = a_number()
    setup = begun(client, rider)
    assert setup["status"] == "REQUIRES_ACTION"
    assert setup["next_action"]["publishable_key"] == "pk_test_sandbox"
    compare(app)
    assert of(client, rider) == []
    token = brings(sandbox, setup)
    compare(app)
    (method,) = of(client, rider)
    assert (method["brand"], method["last4"], method["status"]) == ("visa", "4242", "ACTIVE")
    answer = charge(client, method, user_id=rider)
    assert (answer.status_code, answer.json["status"]) == (201, "SUCCESS"), answer.text
    intent = intent_of(sandbox, answer.json)
    assert intent["payment_method"] == token
    assert token not in answer.text
    kept = str(rows(app, "SELECT * FROM payments WHERE user_id = :u", u=rider))
    assert token not in kept
