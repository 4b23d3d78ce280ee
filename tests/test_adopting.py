"""Refunds that somebody made at the provider's own page: taken in once, as they stand, and never
squeezed in."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from payment_service.domain.operators import Role
from payment_service.sandbox.dialects.stripe.events import SECRET, signed
from payment_service.services import audit, webhooks
from tests.books import a_charged_payment, execute, payment_row, post, row, rows
from tests.clocks import look_up
from tests.fixtures import MakeApp, a_key
from tests.four_eyes import acting, asks
from tests.patience import CLOCKLESS, PATIENCE
from tests.sandbox_calls import post as told
from tests.sandbox_server import Sandbox
from tests.stripe_calls import KEY, ask, listed

Event = dict[str, Any]
HOOKS = "/v1/webhooks/stripe"


@pytest.fixture
def house(make_app: MakeApp, sandbox: Sandbox, fresh_database: str) -> Flask:
    return make_app(
        **CLOCKLESS,
        database_url=fresh_database,
        stripe_api_key=KEY,
        stripe_api_base=f"{sandbox.url}/stripe",
        stripe_webhook_secret=SECRET,
        provider_routes="CARD=stripe",
        operator_mfa="optional",
    )


def by_stripe(house: Flask, token: str = "pm_card_visa") -> dict[str, Any]:
    return a_charged_payment(house.test_client(), payment_token=token)


def given_back(sandbox: Sandbox, payment: dict[str, Any], amount: int) -> Event:
    """What Stripe tells of a refund that somebody makes at its page."""
    made = ask(
        sandbox,
        "POST",
        "/v1/refunds",
        data={"payment_intent": payment["transaction_id"], "amount": amount},
        headers={"Idempotency-Key": a_key()},
    ).json()
    return of(sandbox, made["id"], "refund.created")


def of(sandbox: Sandbox, refund: str, kind: str) -> Event:
    events = listed(sandbox, "events", type=kind)
    return next(event for event in events if event["data"]["object"]["id"] == refund)


def hear(house: Flask, event: Event) -> str:
    """Has the event come in; what became of it."""
    body = json.dumps(event).encode()
    headers = {"Stripe-Signature": signed(body, SECRET), "Content-Type": "application/json"}
    answer = house.test_client().post(HOOKS, data=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found = row(house, "SELECT status FROM webhooks WHERE event_key = :key", key=event["id"])
    return str(found["status"])


def refunds_of(house: Flask, payment: dict[str, Any]) -> list[dict[str, Any]]:
    query = "SELECT * FROM refunds WHERE payment_id = :id ORDER BY refund_id"
    return rows(house, query, id=payment["payment_id"])


def in_the_end(house: Flask) -> None:
    """What had no room is taken in anew, as the worker does."""
    execute(house, "UPDATE webhooks SET due_at = now() WHERE due_at IS NOT NULL")
    with house.app_context():
        webhooks.run_once()


def fits(house: Flask) -> bool:
    with house.app_context():
        return audit.verify().broken == ()


def test_it_is_taken_in_once(house: Flask, sandbox: Sandbox) -> None:
    payment = by_stripe(house)
    event = given_back(sandbox, payment, 3000)
    assert hear(house, event) == "APPLIED"
    assert hear(house, event | {"id": f"evt_{a_key()}"}) == "NO_NEWS"
    (refund,) = refunds_of(house, payment)
    theirs = event["data"]["object"]["id"]
    assert (refund["amount"], refund["status"]) == (3000, "SUCCESS")
    assert (refund["caller"], refund["provider_reference"]) == ("provider", theirs)
    stands = payment_row(house, payment["payment_id"])
    assert (stands["status"], stands["refunded"]) == ("PARTIALLY_REFUNDED", 3000)
    asked = row(house, "SELECT * FROM transactions WHERE provider_reference = :id", id=theirs)
    assert (asked["type"], asked["cause"], asked["status"]) == ("REFUND", "provider", "SUCCESS")
    assert fits(house)
    # What is left is ours to give, and no more.
    path = f"/v1/payments/{payment['payment_id']}/refund"
    assert post(house.test_client(), path).json["status"] == "REFUNDED"
    assert payment_row(house, payment["payment_id"])["refunded"] == 10000


def test_our_own_is_no_news(house: Flask, sandbox: Sandbox) -> None:
    payment = by_stripe(house)
    post(house.test_client(), f"/v1/payments/{payment['payment_id']}/refund", amount="40.00")
    (refund,) = refunds_of(house, payment)
    assert hear(house, of(sandbox, refund["provider_reference"], "refund.created")) == "NO_NEWS"
    assert len(refunds_of(house, payment)) == 1


def test_one_that_waits_is_looked_up_until_it_is_certain(house: Flask, sandbox: Sandbox) -> None:
    payment = by_stripe(house, "pm_card_pendingRefund")
    event = given_back(sandbox, payment, 3000)
    theirs = event["data"]["object"]["id"]
    assert hear(house, event) == "APPLIED"
    stands = payment_row(house, payment["payment_id"])
    assert (stands["refunded"], stands["refund_pending"]) == (0, 3000)
    told(sandbox, f"/stripe/banks/{theirs}", outcome="succeed")
    look_up(house, payment["payment_id"])
    assert payment_row(house, payment["payment_id"])["refunded"] == 3000
    assert fits(house)


def test_one_that_fails_later_is_taken_back(house: Flask, sandbox: Sandbox) -> None:
    payment = by_stripe(house)
    event = given_back(sandbox, payment, 3000)
    theirs = event["data"]["object"]["id"]
    hear(house, event)
    told(sandbox, f"/stripe/banks/{theirs}", outcome="fail")
    hear(house, of(sandbox, theirs, "refund.failed"))
    look_up(house, payment["payment_id"])
    stands = payment_row(house, payment["payment_id"])
    assert (stands["status"], stands["refunded"]) == ("SUCCESS", 0)
    assert fits(house)


@pytest.mark.parametrize("changes", [{"amount": 10001}, {"currency": "sek"}])
def test_what_does_not_fit_is_told_and_moves_nothing(
    house: Flask, sandbox: Sandbox, changes: dict[str, Any]
) -> None:
    payment = by_stripe(house)
    event = given_back(sandbox, payment, 3000)
    event["data"]["object"] |= changes
    assert hear(house, event) == "MISMATCH"
    assert refunds_of(house, payment) == []
    assert payment_row(house, payment["payment_id"])["status"] == "SUCCESS"
    assert row(house, "SELECT error FROM webhooks")["error"].startswith("a refund that is not ours")


def test_one_of_nobodys_payment_waits(house: Flask, sandbox: Sandbox) -> None:
    event = given_back(sandbox, by_stripe(house), 3000)
    event["data"]["object"]["payment_intent"] = "pi_of_nobody"
    assert hear(house, event) == "ORPHANED"


def test_one_that_came_to_nothing_moves_nothing(house: Flask, sandbox: Sandbox) -> None:
    payment = by_stripe(house)
    event = given_back(sandbox, payment, 3000)
    told(sandbox, f"/stripe/banks/{event['data']['object']['id']}", outcome="fail")
    failed = of(sandbox, event["data"]["object"]["id"], "refund.failed")
    assert hear(house, failed) == "NO_NEWS"
    assert refunds_of(house, payment) == []


def test_who_asked_for_more_than_is_left_is_told(house: Flask, sandbox: Sandbox) -> None:
    """An operator's request waits for a second one, and its room is gone."""
    payment = by_stripe(house)
    request = asks(house, acting(house, Role.OPERATOR), payment["payment_id"], "80.00")
    assert hear(house, given_back(sandbox, payment, 3000)) == "APPLIED"
    query = "SELECT * FROM refund_requests WHERE request_id = :id"
    assert row(house, query, id=request["request_id"])["state"] == "LAPSED"
    stands = payment_row(house, payment["payment_id"])
    assert (stands["refunded"], stands["refund_pending"]) == (3000, 0)
    assert fits(house)


@pytest.mark.slow
def test_eight_at_once_give_back_no_more_than_was_captured(house: Flask, sandbox: Sandbox) -> None:
    """Refunds of ours and of the provider's page, and the news of these twice."""
    for _ in range(10):
        payment = by_stripe(house)
        events = [given_back(sandbox, payment, 1000) for _ in range(3)]
        path = f"/v1/payments/{payment['payment_id']}/refund"
        begins = threading.Barrier(8)

        def of_ours(begins: threading.Barrier = begins, path: str = path) -> None:
            begins.wait(PATIENCE)
            post(house.test_client(), path, amount="50.00")

        def of_theirs(event: Event, begins: threading.Barrier = begins) -> None:
            begins.wait(PATIENCE)
            hear(house, event)

        with ThreadPoolExecutor(8) as pool:
            works = [pool.submit(of_ours) for _ in range(2)]
            works += [pool.submit(of_theirs, event) for event in events * 2]
        for work in works:
            work.result()
        look_up(house, payment["payment_id"])
        in_the_end(house)
        stands = payment_row(house, payment["payment_id"])
        charge = ask(sandbox, "GET", f"/v1/payment_intents/{payment['transaction_id']}").json()
        there = ask(sandbox, "GET", f"/v1/charges/{charge['latest_charge']}").json()
        assert stands["refunded"] + stands["refund_pending"] == there["amount_refunded"]
        assert stands["refunded"] <= stands["captured"]
    assert fits(house)


def test_its_time_line_says_who_made_it(house: Flask, sandbox: Sandbox) -> None:
    payment = by_stripe(house)
    hear(house, given_back(sandbox, payment, 3000))
    path = f"/v1/payments/{payment['payment_id']}/events"
    told_of = house.test_client().get(path).json["events"]
    made = next(moment for moment in told_of if moment["what"] == "refund made at stripe")
    assert (made["actor"], made["reason"]) == ("provider", "provider")
