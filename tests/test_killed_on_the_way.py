"""kill -9 while a payer is on the way: between the provider's page and our finish, between finish
and answer, between a webhook's two transactions. For a provider of each kind: one that is looked up
by a list and whose payer acts in the caller's page, one whose page is no request, and one that is
found by its own id only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payment_service.services import audit, webhooks
from payment_service.services.moves import resolution
from tests import five
from tests.books import execute, payment_row, payments_of, post, row, rows
from tests.clocks import an_hour_later, look_up
from tests.dying import ANSWER, FINISH, WEBHOOK, dies
from tests.fixtures import MakeApp, a_key, an_order
from tests.patience import CLOCKLESS
from tests.running_service import ENCRYPTION_KEYS
from tests.sandbox_calls import get
from tests.sandbox_server import Sandbox
from tests.stripe_calls import listed

pytestmark = pytest.mark.slow  # a process of its own

KINDS = ("stripe", "fiuu", "fib")
SECRET_KEY = "Zq3v8Yk1rT0xB7nM5cW9eH2uJ6pLsD4g"
CHARGE = "/v1/payments/charge"


@pytest.fixture(scope="module")
def settings(sandbox: Sandbox, database_of_module: str, redis_url: str) -> dict[str, Any]:
    """Those of the house, and of the processes that die."""
    return five.settings_of(sandbox) | {
        "database_url": database_of_module,
        "redis_url": redis_url,
        "secret_key": SECRET_KEY,
        "encryption_keys": ENCRYPTION_KEYS,
        "log_level": "ERROR",
        **CLOCKLESS,
    }


@pytest.fixture(scope="module")
def house(make_app: MakeApp, sandbox: Sandbox, settings: dict[str, Any]) -> Iterator[Flask]:
    with five.told_nowhere(sandbox):
        yield make_app(**settings)


@pytest.fixture
def client(house: Flask) -> FlaskClient:
    return house.test_client()


def dying_charge(
    house: Flask, settings: dict[str, Any], point: str, name: str
) -> tuple[str, dict[str, Any], int]:
    """A charge whose process died: its key, its body, and its payment."""
    key, order = a_key(), an_order(amount=five.AMOUNT, **five.WAYS[name].order)
    headers = {"Idempotency-Key": key}
    dies(point, settings, path=CHARGE, method="POST", json=order, headers=headers)
    [payment] = payments_of(house, order_id=order["order_id"])
    return key, order, payment["payment_id"]


def a_minute_later(house: Flask, key: str) -> None:
    """Whoever held the key is taken for dead."""
    execute(house, "UPDATE idempotency_keys SET locked_until = now() WHERE key = :key", key=key)


def paid_there(sandbox: Sandbox, name: str, reference: str, known_as: str | None) -> int:
    """How often the payer has paid for the request, as the provider's books have it."""
    if name == "stripe":
        intents = listed(sandbox, "payment_intents")
        ours = [one for one in intents if one["metadata"].get("reference") == reference]
        return sum(one["status"] == "succeeded" for one in ours)
    if name == "fiuu":
        tries = get(sandbox, "/fiuu/RMS/transactions")["transactions"]
        return sum(one["order"] == reference for one in tries)
    payments = get(sandbox, "/fib/books")["payments"]
    ours = [one for one in payments if reference in (one["reference"], known_as)]
    return sum(one["paidAt"] is not None for one in ours)


def agree(
    house: Flask, sandbox: Sandbox, name: str, payment_id: int, *, audited: bool = True
) -> None:
    """Ours and theirs say the same, each column is as the events say, nothing was sent twice."""
    payment = payment_row(house, payment_id)
    reference = f"{payment['reference']}-1"
    paid = paid_there(sandbox, name, reference, payment["provider_reference"])
    assert paid == (payment["status"] == "SUCCESS")
    assert payment["captured"] == (payment["amount"] if paid else 0)
    if audited:
        with house.app_context():
            assert audit.verify(payment_id=payment_id).broken == ()
    came = get(sandbox, "/psp/requests")["requests"]
    moving = [one for one in came if one["reference"] == reference and one["operation"] == "charge"]
    assert len(moving) <= 1


def told(house: Flask, payment_id: int) -> int:
    """How often it was told that the payment succeeded."""
    query = "SELECT count(*) AS n FROM events WHERE payment_id = :id AND type = 'payment.succeeded'"
    found: int = row(house, query, id=payment_id)["n"]
    return found


def it_is_paid(house: Flask, sandbox: Sandbox, payment: dict[str, Any]) -> None:
    """The payer pays with what the answer brought, and the provider says so."""
    name = payment["provider"]
    sent = five.pay(house, sandbox, payment)
    assert five.deliver(house.test_client(), name, sent).status_code in (200, 202)
    look_up(house, payment["payment_id"])
    assert payment_row(house, payment["payment_id"])["status"] == "SUCCESS"
    assert told(house, payment["payment_id"]) == 1
    agree(house, sandbox, name, payment["payment_id"])


@pytest.mark.parametrize("name", KINDS)
def test_between_page_and_finish(
    house: Flask, client: FlaskClient, sandbox: Sandbox, settings: dict[str, Any], name: str
) -> None:
    """Nobody has the page. What can be found again is handed on to who asks again; what can't be
    was never received, and its link is nobody's."""
    key, order, payment_id = dying_charge(house, settings, FINISH, name)
    standing = payment_row(house, payment_id)
    assert (standing["status"], standing["next_action"]) == ("PROCESSING", None)
    busy = post(client, CHARGE, key, **order)
    assert (busy.status_code, busy.json["code"]) == (409, "idempotency_key_in_progress")
    a_minute_later(house, key)
    look_up(house, payment_id)
    if name == "fib":
        for _ in range(3):
            an_hour_later(house, payment_id)
            look_up(house, payment_id)
    again = post(client, CHARGE, key, **order)
    if name == "fib":
        ended = payment_row(house, payment_id)
        assert (ended["status"], ended["failure_code"]) == ("FAILED", "not_received")
        assert (again.status_code, again.json["failure_code"]) == (402, "not_received")
        assert again.json.get("next_action") is None
        assert client.get(f"/v1/payments/{payment_id}").json.get("next_action") is None
        assert five.action_of(house, {"payment_id": payment_id}) is None
        agree(house, sandbox, name, payment_id, audited=False)  # which sees hours pass in the row
        return
    assert (again.status_code, again.json["status"]) == (202, "REQUIRES_ACTION")
    assert again.json["next_action"]["url" if name == "fiuu" else "type"]
    it_is_paid(house, sandbox, again.json)


@pytest.mark.parametrize("name", KINDS)
def test_between_finish_and_answer(
    house: Flask, client: FlaskClient, sandbox: Sandbox, settings: dict[str, Any], name: str
) -> None:
    """It is written, so whoever asks again has the same page, and pays once."""
    key, order, payment_id = dying_charge(house, settings, ANSWER, name)
    assert payment_row(house, payment_id)["status"] == "REQUIRES_ACTION"
    a_minute_later(house, key)
    again = post(client, CHARGE, key, **order)
    assert (again.status_code, again.json["status"]) == (202, "REQUIRES_ACTION")
    assert again.json["payment_id"] == payment_id
    page = five.action_of(house, again.json)
    assert again.json["next_action"]["type"] == page["type"]
    it_is_paid(house, sandbox, again.json)
    assert len(payments_of(house, order_id=order["order_id"])) == 1


@pytest.mark.parametrize("name", KINDS)
def test_between_a_webhooks_two_transactions(
    house: Flask, client: FlaskClient, sandbox: Sandbox, settings: dict[str, Any], name: str
) -> None:
    """It is kept, so the worker takes it in; the provider, which heard nothing, sends it again."""
    payment = five.waiting(client, name)
    payment_id = payment["payment_id"]
    sent = five.pay(house, sandbox, payment)
    dies(
        WEBHOOK,
        settings,
        path=f"/v1/webhooks/{name}",
        method="POST",
        data=sent.body.decode(),
        headers=dict(sent.headers),
        query_string=sent.query,
    )
    assert payment_row(house, payment_id)["status"] == "REQUIRES_ACTION"
    kept = "SELECT webhook_id, status, deliveries FROM webhooks WHERE provider = :name"
    [first] = [one for one in rows(house, kept, name=name) if one["status"] == "RECEIVED"]
    assert five.deliver(client, name, sent).status_code in (200, 202)
    execute(house, "UPDATE webhooks SET due_at = now() WHERE due_at IS NOT NULL")
    with house.app_context():
        assert webhooks.run_once()["webhooks"] == 1
        assert webhooks.run_once()["webhooks"] == 0
        resolution.run_once()  # where it only made us look
    [last] = [
        one for one in rows(house, kept, name=name) if one["webhook_id"] == first["webhook_id"]
    ]
    assert (last["status"], last["deliveries"]) == ("APPLIED", 2)
    assert payment_row(house, payment_id)["status"] == "SUCCESS"
    assert told(house, payment_id) == 1
    agree(house, sandbox, name, payment_id)
