"""What a provider says while it is not sure is kept, shown and told once; it decides nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payment_service.providers import registry
from payment_service.providers.contract import Operation, Outcome, Result
from payment_service.providers.sandbox import SandboxProvider
from payment_service.services import audit
from tests.books import execute, post, row, rows
from tests.clocks import an_hour_later, look_up
from tests.fixtures import MakeApp, a_key, an_order
from tests.patience import CLOCKLESS
from tests.sandbox_calls import arm
from tests.sandbox_server import Sandbox

CHARGE = "/v1/payments/charge"
SCAN = {"type": "app", "qr": "D1234"}


class Talking(SandboxProvider):
    """Says what it is set to: `says` with each answer of the sandbox that decides nothing."""

    name = "talking"

    def __init__(self, sandbox: Sandbox, limits: Any) -> None:
        super().__init__(sandbox.url, limits)
        self.says: dict[str, Any] = {"provider_reference": None, "fee": None}

    def _ask(self, operation: Operation) -> Result:
        return replace(super()._ask(operation), **self.says)

    def _lookup(self, operation: Operation) -> Result | None:
        found = super()._lookup(operation)
        return found and replace(found, **self.says)


@pytest.fixture
def house(make_app: MakeApp, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setitem(
        registry.BUILDERS, "talking", lambda settings, limits: Talking(sandbox, limits)
    )
    return make_app(**CLOCKLESS)


@pytest.fixture
def provider(house: Flask) -> Talking:
    found: Talking = house.extensions["providers"].get("talking")
    return found


def charge(client: FlaskClient, key: str | None = None, **changes: Any) -> Any:
    order = an_order(provider="talking", payment_token="tok_pending", **changes)
    return post(client, CHARGE, key, **order)


def noted(app: Flask, payment_id: int) -> list[Any]:
    """What the payment's events of this kind say, oldest first."""
    query = (
        "SELECT body::json->'data' AS data FROM events"
        " WHERE payment_id = :id AND type = 'payment.noted' ORDER BY seq"
    )
    return [found["data"]["noted"] for found in rows(app, query, id=payment_id)]


def test_all_that_is_said_is_kept_and_shown(house: Flask, provider: Talking) -> None:
    client = house.test_client()
    provider.says |= {"provider_reference": "their-1", "fee": 150, "next_action": SCAN}
    answer = charge(client)
    assert (answer.status_code, answer.json["status"]) == (202, "PROCESSING")
    assert (answer.json["transaction_id"], answer.json["next_action"]) == ("their-1", SCAN)
    payment_id = answer.json["payment_id"]
    request = row(house, "SELECT * FROM transactions WHERE payment_id = :id", id=payment_id)
    assert (request["provider_reference"], request["fee"]) == ("their-1", 150)
    told = client.get(f"/v1/payments/{payment_id}/events").json["events"]
    details = {moment["what"]: moment["details"] for moment in told}
    shown = details["charge asked of talking"]
    assert (shown["provider_reference"], shown["fee"]) == ("their-1", "1.50")
    assert shown["next_action"] == {"type": "app"}  # the code itself is for who charges
    assert client.get(f"/v1/payments/{payment_id}").json["next_action"] == SCAN
    said = {"provider_reference": "their-1", "fee": "1.50", "next_action": True}
    assert details["payment.noted"]["noted"] == said
    with house.app_context():
        assert audit.verify(payment_id=payment_id).broken == ()


def test_only_what_is_new_is_told(house: Flask, provider: Talking) -> None:
    payment_id = charge(house.test_client()).json["payment_id"]
    assert noted(house, payment_id) == []
    for said, told in (
        ({"provider_reference": "their-1"}, {"provider_reference": "their-1"}),
        ({}, None),
        ({"fee": 0}, {"fee": "0.00"}),
        ({"provider_reference": None, "fee": None}, None),
        ({"provider_reference": "their-1", "fee": 0, "next_action": SCAN}, {"next_action": True}),
        ({}, None),
    ):
        before = noted(house, payment_id)
        provider.says |= said
        look_up(house, payment_id)
        assert noted(house, payment_id)[len(before) :] == ([] if told is None else [told])
    with house.app_context():
        assert audit.verify(payment_id=payment_id).broken == ()


def test_the_outcome_keeps_what_was_said_before_it(house: Flask, provider: Talking) -> None:
    """An answer that decides need not repeat the id and the fee."""
    client = house.test_client()
    provider.says |= {"provider_reference": "their-1", "fee": 150, "next_action": SCAN}
    payment_id = charge(client).json["payment_id"]
    provider.says |= {"provider_reference": None, "fee": None, "outcome": Outcome.APPROVED}
    look_up(house, payment_id)
    payment = client.get(f"/v1/payments/{payment_id}").json
    assert (payment["status"], payment["transaction_id"]) == ("SUCCESS", "their-1")
    assert "next_action" not in payment
    request = row(house, "SELECT * FROM transactions WHERE payment_id = :id", id=payment_id)
    assert (request["provider_reference"], request["fee"]) == ("their-1", 150)


def test_what_was_told_for_good_stays(house: Flask, provider: Talking) -> None:
    """Doubt after the outcome changes no byte of it, whoever asks."""
    client, key = house.test_client(), a_key()
    order = an_order(provider="talking")
    told = post(client, CHARGE, key, **order)
    assert told.status_code == 201
    provider.says |= {"outcome": Outcome.PENDING, "provider_reference": "other", "fee": 7}
    payment_id = told.json["payment_id"]
    execute(house, "UPDATE transactions SET due_at = now() WHERE payment_id = :id", id=payment_id)
    look_up(house, payment_id)
    assert post(client, CHARGE, key, **order).data == told.data
    assert noted(house, payment_id) == []
    stands = client.get(f"/v1/payments/{payment_id}").json
    assert stands["transaction_id"] == told.json["transaction_id"]


def test_a_payer_who_must_act_later_is_told_so(house: Flask, provider: Talking) -> None:
    """While REQUIRES_ACTION a new action takes the place of the old one; no status moves."""
    client = house.test_client()
    provider.says |= {"outcome": Outcome.REQUIRES_ACTION, "next_action": {"type": "sdk"}}
    answer = charge(client)
    assert (answer.status_code, answer.json["status"]) == (202, "REQUIRES_ACTION")
    provider.says |= {"next_action": SCAN}
    payment_id = answer.json["payment_id"]
    look_up(house, payment_id)
    payment = client.get(f"/v1/payments/{payment_id}").json
    until = answer.json["expires_at"]
    assert payment["expires_at"] == until
    assert payment["status"] == "REQUIRES_ACTION"
    assert payment["next_action"] == SCAN | {"expires_at": until}


def test_who_named_its_id_for_a_request_has_received_it(
    house: Flask, provider: Talking, sandbox: Sandbox
) -> None:
    """However often it says later that it has never heard of it."""
    provider.says |= {"provider_reference": "their-9"}
    told = charge(house.test_client()).json
    payment_id, reference = told["payment_id"], told["transactions"][0]["reference"]
    arm(sandbox, "lookup", "lookup_not_found", times=3, match={"reference": reference})
    for _ in range(3):
        an_hour_later(house, payment_id)
        look_up(house, payment_id)
    request = row(house, "SELECT * FROM transactions WHERE payment_id = :id", id=payment_id)
    assert (request["status"], request["lookups"]) == ("PROCESSING", 3)
    assert request["due_at"] is not None
