"""Disputes: whatever order their news come in, and however often, the same rows, and the money that
the provider's bookings say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payment_service.domain.disputes import DisputeKind, DisputeStatus, goes_on
from payment_service.sandbox.dialects.stripe.events import SECRET, signed
from payment_service.services import audit, disputes
from tests.books import a_charged_payment, execute, payment_row, post, row, rows
from tests.fixtures import MakeApp, a_key
from tests.patience import CLOCKLESS
from tests.sandbox_calls import post as told
from tests.sandbox_server import Sandbox
from tests.stripe_calls import KEY, ask, listed

Row = dict[str, Any]
FULL = 10_000


@pytest.fixture(scope="module")
def house(make_app: MakeApp, sandbox: Sandbox, database_of_module: str) -> Flask:
    return make_app(
        **CLOCKLESS,
        database_url=database_of_module,
        stripe_api_key=KEY,
        stripe_api_base=f"{sandbox.url}/stripe",
        stripe_webhook_secret=SECRET,
        provider_routes="CARD=stripe",
    )


def paid(house: Flask) -> Row:
    return a_charged_payment(house.test_client(), payment_token="pm_card_visa")


def contested(sandbox: Sandbox, payment: Row, **asked: Any) -> str:
    """The id of a dispute that the payer's bank opens."""
    asked = {"payment_intent": payment["transaction_id"], **asked}
    return str(told(sandbox, "/stripe/disputes", **asked).json()["id"])


def step(sandbox: Sandbox, dispute: str, what: str) -> None:
    assert told(sandbox, f"/stripe/disputes/{dispute}", step=what).ok


def news_of(sandbox: Sandbox, dispute: str) -> list[Row]:
    """What Stripe told of it, oldest first."""
    found = [
        event
        for event in listed(sandbox, "events")
        if event["type"].startswith("charge.dispute.") and event["data"]["object"]["id"] == dispute
    ]
    return found[::-1]


def hear(house: Flask, event: Row) -> str:
    event = event | {"id": f"evt_{a_key()}"}
    body = json.dumps(event).encode()
    headers = {"Stripe-Signature": signed(body, SECRET), "Content-Type": "application/json"}
    answer = house.test_client().post("/v1/webhooks/stripe", data=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found = row(house, "SELECT status FROM webhooks WHERE event_key = :key", key=event["id"])
    return str(found["status"])


def look_up(house: Flask) -> None:
    """The worker asks about all disputes, as it does each day."""
    execute(house, "UPDATE disputes SET due_at = now()")
    with house.app_context():
        while disputes.run_once()["more"]:
            pass


def stands(house: Flask, dispute: str, payment: Row) -> Row:
    found = row(house, "SELECT * FROM disputes WHERE provider_dispute_id = :id", id=dispute)
    moved = rows(
        house,
        "SELECT kind, counted FROM dispute_movements WHERE dispute_id = :id"
        " ORDER BY occurred_at, provider_movement_id",
        id=found["dispute_id"],
    )
    money = payment_row(house, payment["payment_id"])
    return {
        **{name: found[name] for name in ("kind", "status", "amount", "submissions")},
        **{name: money[name] for name in ("status", "disputed", "charged_back", "refunded")},
        "dispute": found["status"],
        "movements": sorted((one["kind"], one["counted"]) for one in moved),
    }


def fits(house: Flask, payment: Row) -> bool:
    with house.app_context():
        return audit.verify(payment_id=payment["payment_id"]).broken == ()


WALKS: dict[str, tuple[dict[str, Any], list[str], dict[str, Any]]] = {
    "won": ({}, ["review", "win"], {"dispute": "WON", "disputed": 0, "charged_back": 0}),
    "lost": ({}, ["review", "lose"], {"dispute": "LOST", "disputed": 0, "charged_back": FULL}),
    "won, and lost later": (
        {},
        ["review", "win", "withdraw", "lose"],
        {"dispute": "LOST", "disputed": 0, "charged_back": FULL},
    ),
    "an inquiry that was closed": (
        {"inquiry": True},
        ["review", "close"],
        {"dispute": "CLOSED", "kind": "INQUIRY", "disputed": 0, "charged_back": 0},
    ),
    "an inquiry that became a chargeback": (
        {"inquiry": True},
        ["review", "chargeback", "lose"],
        {"dispute": "LOST", "kind": "CHARGEBACK", "disputed": 0, "charged_back": FULL},
    ),
    "a part": ({"amount": 2500}, ["lose"], {"dispute": "LOST", "charged_back": 2500}),
    "under review": ({}, ["review"], {"dispute": "UNDER_REVIEW", "disputed": FULL}),
    "in another currency": (
        {"settled_in": "eur", "rate": 0.011},
        ["lose"],
        {"dispute": "LOST", "charged_back": FULL},
    ),
}


@pytest.mark.parametrize("walk", WALKS)
def test_a_dispute_is_walked_to_its_end(house: Flask, sandbox: Sandbox, walk: str) -> None:
    asked, steps, wanted = WALKS[walk]
    payment = paid(house)
    dispute = contested(sandbox, payment, **asked)
    for what in steps:
        step(sandbox, dispute, what)
    for event in news_of(sandbox, dispute):
        hear(house, event)
    look_up(house)
    found = stands(house, dispute, payment)
    assert {name: found[name] for name in wanted} == wanted
    assert payment_row(house, payment["payment_id"])["status"] == "SUCCESS"
    assert fits(house, payment)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_order_any_number_and_any_gap_end_the_same(
    house: Flask, sandbox: Sandbox, data: st.DataObject
) -> None:
    """What was not heard at all, the daily look-up brings."""
    asked, steps, wanted = WALKS[data.draw(st.sampled_from(sorted(WALKS)), label="walk")]
    payment = paid(house)
    dispute = contested(sandbox, payment, **asked)
    for what in steps:
        step(sandbox, dispute, what)
    told_of = news_of(sandbox, dispute)
    heard = data.draw(
        st.lists(st.integers(0, len(told_of) - 1), min_size=1, max_size=6), label="heard"
    )
    for number in heard:
        assert hear(house, told_of[number]) in ("APPLIED", "NO_NEWS")
    look_up(house)
    first = stands(house, dispute, payment)
    assert {name: first[name] for name in wanted} == wanted
    for event in told_of:
        hear(house, event)
    look_up(house)
    assert stands(house, dispute, payment) == first
    assert fits(house, payment)


@pytest.mark.parametrize("walk", WALKS)
def test_older_news_moves_nothing_back(house: Flask, sandbox: Sandbox, walk: str) -> None:
    """Nobody is asked in between, who would say how it stands."""
    asked, steps, wanted = WALKS[walk]
    payment = paid(house)
    dispute = contested(sandbox, payment, **asked)
    for what in steps:
        step(sandbox, dispute, what)
    told_of = news_of(sandbox, dispute)
    hear(house, told_of[-1])
    look_up(house)
    first = stands(house, dispute, payment)
    assert {name: first[name] for name in wanted} == wanted
    for event in reversed(told_of):
        assert hear(house, event) == "NO_NEWS"
        assert stands(house, dispute, payment) == first


def test_a_webhook_has_the_provider_asked_at_once(house: Flask, sandbox: Sandbox) -> None:
    """It may be late, and the next one lost."""
    payment = paid(house)
    dispute = contested(sandbox, payment)
    step(sandbox, dispute, "lose")
    hear(house, news_of(sandbox, dispute)[0])
    with house.app_context():
        while disputes.run_once()["more"]:
            pass
    assert stands(house, dispute, payment)["dispute"] == "LOST"


def test_a_deadline_that_the_bank_moves_is_looked_up(house: Flask, sandbox: Sandbox) -> None:
    payment = paid(house)
    dispute = contested(sandbox, payment)
    hear(house, news_of(sandbox, dispute)[0])
    look_up(house)
    query = "SELECT evidence_due_at FROM disputes WHERE provider_dispute_id = :id"
    now = row(house, query, id=dispute)
    earlier = "UPDATE disputes SET evidence_due_at = now() WHERE provider_dispute_id = :id"
    execute(house, earlier, id=dispute)  # it stood so before
    hear(house, news_of(sandbox, dispute)[0])
    assert row(house, query, id=dispute) != now, "a webhook may be late"
    look_up(house)
    assert row(house, query, id=dispute) == now
    assert fits(house, payment)


def test_while_it_is_disputed_nothing_is_refunded(house: Flask, sandbox: Sandbox) -> None:
    payment = paid(house)
    dispute = contested(sandbox, payment, amount=4000)
    (opened, *_) = news_of(sandbox, dispute)
    hear(house, opened)
    look_up(house)
    path = f"/v1/payments/{payment['payment_id']}/refund"
    answer = post(house.test_client(), path, amount="10.00")
    assert (answer.status_code, answer.json["code"]) == (409, "payment_disputed")
    assert answer.json["amount_disputed"] == "40.00"
    step(sandbox, dispute, "lose")
    look_up(house)
    # What the bank took for good can't go back once more.
    answer = post(house.test_client(), path, amount="60.01")
    assert (answer.status_code, answer.json["code"]) == (422, "refund_exceeds_captured")
    assert answer.json["refundable"] == "60.00"
    assert post(house.test_client(), path).json["status"] == "PARTIALLY_REFUNDED"


def test_a_chargeback_may_follow_a_refund(house: Flask, sandbox: Sandbox) -> None:
    payment = paid(house)
    path = f"/v1/payments/{payment['payment_id']}/refund"
    assert post(house.test_client(), path).json["status"] == "REFUNDED"
    dispute = contested(sandbox, payment)
    step(sandbox, dispute, "lose")
    hear(house, news_of(sandbox, dispute)[0])
    look_up(house)
    found = stands(house, dispute, payment)
    assert (found["refunded"], found["charged_back"]) == (FULL, FULL)
    assert fits(house, payment)


def test_each_step_is_told(house: Flask, sandbox: Sandbox) -> None:
    payment = paid(house)
    dispute = contested(sandbox, payment)
    hear(house, news_of(sandbox, dispute)[0])
    look_up(house)
    for what in ("review", "lose"):
        step(sandbox, dispute, what)
        look_up(house)
    query = "SELECT type FROM events WHERE payment_id = :id AND type LIKE 'dispute.%' ORDER BY seq"
    told_of = [one["type"] for one in rows(house, query, id=payment["payment_id"])]
    assert told_of == ["dispute.opened", "dispute.updated", "dispute.updated", "dispute.lost"]


def test_one_that_nobody_told_of_is_found_by_the_list(house: Flask, sandbox: Sandbox) -> None:
    payment = paid(house)
    dispute = contested(sandbox, payment, amount=4000)
    with house.app_context():
        assert disputes.list_them()["new"] >= 1
        assert disputes.list_them()["new"] == 0
    found = stands(house, dispute, payment)
    assert (found["dispute"], found["disputed"]) == ("NEEDS_RESPONSE", 4000)
    assert fits(house, payment)


def test_one_of_nobodys_payment_waits(house: Flask, sandbox: Sandbox) -> None:
    dispute = contested(sandbox, paid(house))
    (opened, *_) = news_of(sandbox, dispute)
    opened["data"]["object"]["payment_intent"] = "pi_of_nobody"
    assert hear(house, opened) == "ORPHANED"


def test_a_provider_that_is_away_is_asked_again(house: Flask, sandbox: Sandbox) -> None:
    payment = paid(house)
    dispute = contested(sandbox, payment)
    hear(house, news_of(sandbox, dispute)[0])
    execute(house, "UPDATE disputes SET provider_dispute_id = provider_dispute_id || 'x'"
            " WHERE provider_dispute_id = :id", id=dispute)  # fmt: skip
    look_up(house)
    found = row(house, "SELECT * FROM disputes WHERE payment_id = :id", id=payment["payment_id"])
    assert found["due_at"] is not None and found["status"] == "NEEDS_RESPONSE"
    assert ask(sandbox, "GET", f"/v1/disputes/{dispute}x").status_code == 404


KINDS, STATUSES = st.sampled_from(DisputeKind), st.sampled_from(DisputeStatus)


@given(KINDS, STATUSES, KINDS, STATUSES)
def test_nothing_goes_back_and_forth(
    kind: DisputeKind, status: DisputeStatus, other: DisputeKind, to: DisputeStatus
) -> None:
    assert not (goes_on(kind, status, other, to) and goes_on(other, to, kind, status))
    assert not goes_on(kind, status, kind, status)


def test_disputes_are_listed_and_read(house: Flask, sandbox: Sandbox) -> None:
    client, payment = house.test_client(), paid(house)
    assert "amount_disputed" not in payment
    dispute = contested(sandbox, payment, amount=4000)
    hear(house, news_of(sandbox, dispute)[0])
    look_up(house)
    number = payment["payment_id"]
    listed_ = client.get("/v1/disputes", query_string={"payment_id": number}).json
    (found,) = listed_["disputes"]
    assert (found["provider_dispute_id"], found["amount"]) == (dispute, "40.00")
    assert (found["kind"], found["status"]) == ("CHARGEBACK", "NEEDS_RESPONSE")
    one = client.get(f"/v1/disputes/{found['dispute_id']}")
    assert {name: one.json[name] for name in found} == found
    taken = [(moved["kind"], moved["amount"]) for moved in one.json["movements"]]
    assert sorted(taken) == [("FEE", "15.00"), ("WITHDRAWN", "40.00")]
    again = client.get(
        f"/v1/disputes/{found['dispute_id']}", headers={"If-None-Match": one.headers["ETag"]}
    )
    assert again.status_code == 304
    whole = client.get(f"/v1/payments/{number}").json
    assert (whole["amount_disputed"], whole["amount_charged_back"]) == ("40.00", "0.00")
    by_time = {"due_before": "2000-01-01T00:00:00Z", "payment_id": number}
    assert client.get("/v1/disputes", query_string=by_time).json["disputes"] == []
    by_status = {"status": "LOST", "payment_id": number}
    assert client.get("/v1/disputes", query_string=by_status).json["disputes"] == []
    missing = client.get("/v1/disputes/999999999")
    assert (missing.status_code, missing.json["code"]) == (404, "dispute_not_found")
