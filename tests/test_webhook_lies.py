"""Through the door, for each of the five: only the true webhook moves anything. All others leave
payments, events and amounts byte for byte as they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask

from payment_service.providers.webhooks import Receiver
from payment_service.sandbox.dialects.stripe.events import SECRET as STRIPE_SECRET
from payment_service.sandbox.dialects.stripe.events import signed
from payment_service.services import explanations
from payment_service.services.moves import resolution
from tests import five
from tests.books import execute, payment_row, row, rows
from tests.fixtures import MakeApp
from tests.lies import EACH_SIGNED_FIELD, LIES, Fate
from tests.sandbox_server import Sandbox

BOOKS = ("payments", "transactions", "refunds", "events", "deliveries", "total_deltas", "payers")
WHEN = "ARRAY['due_at', 'leased_until', 'lookups']"
"""When somebody looks next."""
ONE = [{"n": 1}]


@pytest.fixture(scope="module")
def house(make_app: MakeApp, sandbox: Sandbox, database_of_module: str) -> Iterator[Flask]:
    with five.told_nowhere(sandbox):
        yield make_app(database_url=database_of_module, **five.settings_of(sandbox))


@dataclass(frozen=True)
class Paid:
    """A payment that was paid, of which we have not heard yet."""

    payment_id: int
    reference: str
    sent: five.Sent


@pytest.fixture(scope="module")
def paid(house: Flask, sandbox: Sandbox) -> dict[str, Paid]:
    """One at each provider, for all lies: they leave it as it is."""
    return {name: made(house, sandbox, name) for name in five.WAYS}


def made(house: Flask, sandbox: Sandbox, name: str) -> Paid:
    payment = five.waiting(house.test_client(), name)
    sent = five.pay(house, sandbox, payment)
    return Paid(payment["payment_id"], five.reference_of(payment), sent)


def another(paid: dict[str, Paid], name: str) -> str:
    """The reference of a payment at another provider, of the same amount."""
    return paid["fiuu" if name == "stripe" else "stripe"].reference


def books(app: Flask, less: str = "ARRAY[]::text[]") -> Any:
    """All that is written of all payments, `less` these columns."""
    return {
        table: rows(app, f"SELECT (to_jsonb(t) - {less})::text AS it FROM {table} t ORDER BY 1")
        for table in BOOKS
    }


def kept(app: Flask) -> dict[int, str]:
    """The webhooks that are kept, and what became of each."""
    found = rows(app, "SELECT webhook_id, status FROM webhooks")
    return {one["webhook_id"]: one["status"] for one in found}


def receipt(app: Flask, name: str) -> tuple[int, str]:
    provider = app.extensions["providers"].get(name)
    assert isinstance(provider, Receiver)
    return provider.webhook_receipt.status, provider.webhook_receipt.body


@pytest.mark.parametrize(("name", "what"), [(name, what) for name in LIES for what in LIES[name]])
def test_a_lie_moves_nothing(house: Flask, paid: dict[str, Paid], name: str, what: str) -> None:
    lie, mine = LIES[name][what], paid[name]
    execute(house, "UPDATE transactions SET due_at = now() + interval '1 hour'")
    execute(house, "DELETE FROM webhooks")  # a repeat of an unsigned one does nothing for a while
    whole, money = books(house), books(house, WHEN)
    answer = five.deliver(house.test_client(), name, lie.tell(mine.sent, another(paid, name)))
    if lie.fate is Fate.REFUSED:
        assert (answer.status_code, answer.json["code"]) == (400, "webhook_refused")
    else:
        assert (answer.status_code, answer.text) == receipt(house, name)
    assert books(house, WHEN) == money
    if lie.fate in (Fate.MISMATCH, Fate.LOOKED_UP):
        assert rows(house, "SELECT count(*) AS n FROM transactions WHERE due_at <= now()") == ONE
    else:
        assert books(house) == whole
    became = {
        Fate.MISMATCH: ["MISMATCH"],
        Fate.ORPHANED: ["ORPHANED"],
        Fate.LOOKED_UP: ["APPLIED"],
    }
    assert list(kept(house).values()) == became.get(lie.fate, [])
    for about in rows(house, "SELECT payment_id FROM webhooks WHERE status = 'MISMATCH'"):
        with house.app_context():
            said = explanations.explain(payment_id=about["payment_id"]).payment
        assert f"A webhook of {name} did not fit (" in said.happened
        assert "dashboard" in said.do


@pytest.mark.parametrize("name", EACH_SIGNED_FIELD)
def test_one_with_a_signed_field_changed_is_refused(
    house: Flask, paid: dict[str, Paid], name: str
) -> None:
    whole, before = books(house), kept(house)
    sent = list(EACH_SIGNED_FIELD[name](paid[name].sent))
    assert len(sent) > 1
    for one in sent:
        assert five.deliver(house.test_client(), name, one).status_code == 400, one
    assert books(house) == whole
    assert kept(house) == before


@pytest.mark.parametrize("name", five.WAYS)
def test_the_true_one_moves_it_and_nothing_else(
    house: Flask, sandbox: Sandbox, paid: dict[str, Paid], name: str
) -> None:
    others = {other.payment_id: payment_row(house, other.payment_id) for other in paid.values()}
    mine = made(house, sandbox, name)
    answer = five.deliver(house.test_client(), name, mine.sent)
    assert (answer.status_code, answer.text) == receipt(house, name)
    believed = five.WAYS[name].believed
    status = payment_row(house, mine.payment_id)["status"]
    assert status == ("SUCCESS" if believed else "REQUIRES_ACTION")
    if not believed:
        query = "SELECT due_at <= now() AS due FROM transactions WHERE payment_id = :id"
        assert row(house, query, id=mine.payment_id) == {"due": True}
        with house.app_context():
            assert resolution.resolve(payment_id=mine.payment_id, number=1)
    ended = payment_row(house, mine.payment_id)
    assert (ended["status"], ended["captured"]) == ("SUCCESS", ended["amount"])
    # What is paid is asked about once more only where its page may be paid again.
    query = "SELECT due_at IS NOT NULL AS again FROM transactions WHERE payment_id = :id"
    again = house.extensions["providers"].get(name).pages_can_be_paid_twice
    assert row(house, query, id=mine.payment_id) == {"again": again}
    whole = books(house)
    assert five.deliver(house.test_client(), name, mine.sent).status_code == answer.status_code
    assert books(house) == whole
    told = "SELECT count(*) AS n FROM events WHERE payment_id = :id AND type = 'payment.succeeded'"
    assert rows(house, told, id=mine.payment_id) == ONE
    for other, before in others.items():
        assert payment_row(house, other) == before


def test_a_stripe_event_of_another_api_version_is_looked_up(house: Flask, sandbox: Sandbox) -> None:
    """And not read, though it is signed."""
    mine = made(house, sandbox, "stripe")
    event = json.loads(mine.sent.body) | {"api_version": "2020-08-27"}
    assert told(house, event, STRIPE_SECRET) == 200
    assert payment_row(house, mine.payment_id)["status"] == "REQUIRES_ACTION"
    query = "SELECT due_at <= now() AS due FROM transactions WHERE payment_id = :id"
    assert row(house, query, id=mine.payment_id) == {"due": True}
    with house.app_context():
        assert resolution.resolve(payment_id=mine.payment_id, number=1)
    assert payment_row(house, mine.payment_id)["status"] == "SUCCESS"


def test_stripe_s_secret_is_rotated(
    make_app: MakeApp, sandbox: Sandbox, database_of_module: str, house: Flask
) -> None:
    """First both are taken, then the new one only."""
    new = "whsec_of_the_sandbox_from_now_on"
    for secrets, takes in (
        (STRIPE_SECRET, (200, 400)),
        (f"{STRIPE_SECRET},{new}", (200, 200)),
        (new, (400, 200)),
    ):
        given = five.settings_of(sandbox) | {"stripe_webhook_secret": secrets}
        app = make_app(database_url=database_of_module, **given)
        for secret, status in zip((STRIPE_SECRET, new), takes, strict=True):
            mine = made(app, sandbox, "stripe")
            assert told(app, json.loads(mine.sent.body), secret) == status
            paid = payment_row(app, mine.payment_id)["status"] == "SUCCESS"
            assert paid == (status == 200)


def told(app: Flask, event: dict[str, Any], secret: str) -> int:
    """What Stripe is answered to the event, signed with that secret."""
    body = json.dumps(event).encode()
    sent = five.Sent(body, {"Stripe-Signature": signed(body, secret)})
    status: int = five.deliver(app.test_client(), "stripe", sent).status_code
    return status
