"""Payments by Stripe, through the whole of the service: what callers are told, and what the
sandbox's Stripe has in its books."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payment_service.services import expiry
from tests.books import a_charged_payment, payment_row, post, rows
from tests.clocks import an_hour_later, look_up
from tests.fixtures import MakeApp, an_order
from tests.patience import CLOCKLESS
from tests.sandbox_calls import arm, get
from tests.sandbox_calls import post as told
from tests.sandbox_server import Sandbox
from tests.stripe_calls import KEY, ask, listed

ACTS = {"payment_token": "pm_card_authenticationRequired"}


@pytest.fixture
def house(make_app: MakeApp, sandbox: Sandbox) -> Flask:
    return make_app(
        **CLOCKLESS,
        stripe_api_key=KEY,
        stripe_api_base=f"{sandbox.url}/stripe",
        provider_routes="CARD=stripe",
    )


@pytest.fixture
def client(house: Flask) -> FlaskClient:
    return house.test_client()


def by_stripe(client: FlaskClient, **changes: Any) -> dict[str, Any]:
    return a_charged_payment(client, **{"payment_token": "pm_card_visa"} | changes)


def intent_of(sandbox: Sandbox, payment: dict[str, Any]) -> dict[str, Any]:
    """The one intent of a payment."""
    of = [
        one
        for one in listed(sandbox, "payment_intents")
        if one["metadata"].get("reference", "").startswith(payment["reference"])
    ]
    assert len(of) == 1
    return of[0]


def test_a_payment_is_charged_and_given_back(client: FlaskClient, sandbox: Sandbox) -> None:
    payment = by_stripe(client)
    intent = intent_of(sandbox, payment)
    assert (payment["status"], payment["transaction_id"]) == ("SUCCESS", intent["id"])
    path = f"/v1/payments/{payment['payment_id']}/refund"
    assert post(client, path, amount="40.00").json["status"] == "PARTIALLY_REFUNDED"
    assert post(client, path).json["status"] == "REFUNDED"
    refunds = listed(sandbox, "refunds", payment_intent=intent["id"])
    assert sorted(one["amount"] for one in refunds) == [4000, 6000]


def test_a_hold_is_captured_in_part_or_released(client: FlaskClient, sandbox: Sandbox) -> None:
    for verb, body, status in (
        ("capture", {"amount": "40.00"}, "SUCCESS"),
        ("cancel", {}, "CANCELLED"),
    ):
        held = by_stripe(client, capture=False)
        assert held["status"] == "AUTHORIZED"
        done = post(client, f"/v1/payments/{held['payment_id']}/{verb}", **body)
        assert (done.status_code, done.json["status"]) == (200, status)
    assert intent_of(sandbox, held)["status"] == "canceled"


@pytest.mark.parametrize("verb", ["charge", "capture", "refund"])
def test_a_lost_answer_is_looked_up_and_nothing_is_sent_again(
    house: Flask, client: FlaskClient, sandbox: Sandbox, verb: str
) -> None:
    order = an_order(payment_token="pm_card_visa", capture=verb != "capture")
    if verb == "charge":
        arm(sandbox, verb, "do_and_lose_answer", match={"dialect": "stripe"})
        answer = post(client, "/v1/payments/charge", **order)
    else:
        first = post(client, "/v1/payments/charge", **order).json
        arm(sandbox, verb, "do_and_lose_answer", match={"dialect": "stripe"})
        answer = post(client, f"/v1/payments/{first['payment_id']}/{verb}")
    assert answer.status_code == 202
    payment_id = answer.json["payment_id"]
    look_up(house, payment_id)
    payment = client.get(f"/v1/payments/{payment_id}").json
    assert payment["status"] == ("REFUNDED" if verb == "refund" else "SUCCESS")
    came = [
        one
        for one in get(sandbox, "/psp/requests")["requests"]
        if (one["reference"] or "").startswith(payment["reference"]) and one["method"] == "POST"
    ]
    assert len(came) == len({one["reference"] for one in came})


def waiting(client: FlaskClient) -> dict[str, Any]:
    answer = post(client, "/v1/payments/charge", **an_order(**ACTS))
    assert (answer.status_code, answer.json["status"]) == (202, "REQUIRES_ACTION")
    found: dict[str, Any] = answer.json
    return found


def test_a_payer_s_yes_is_seen(house: Flask, client: FlaskClient, sandbox: Sandbox) -> None:
    payment = waiting(client)
    intent = intent_of(sandbox, payment)["id"]
    assert told(sandbox, f"/stripe/3ds/{intent}", outcome="approve").ok
    look_up(house, payment["payment_id"])
    assert payment_row(house, payment["payment_id"])["status"] == "SUCCESS"


def test_a_payer_s_no_is_final_once_the_intent_is_canceled(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = waiting(client)
    intent = intent_of(sandbox, payment)["id"]
    assert told(sandbox, f"/stripe/3ds/{intent}", outcome="decline").ok
    look_up(house, payment["payment_id"])
    assert payment_row(house, payment["payment_id"])["status"] == "REQUIRES_ACTION"
    with house.app_context():
        expiry.run_once()
    row = payment_row(house, payment["payment_id"])
    assert (row["status"], row["failure_code"]) == ("FAILED", "authentication_required")
    again = {"payment_method": "pm_card_visa"}
    answer = ask(sandbox, "POST", f"/v1/payment_intents/{intent}/confirm", data=again)
    assert answer.status_code == 400  # nobody holds a way to pay what we call FAILED


def test_what_never_arrived_is_failed_and_not_sent_again(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    arm(sandbox, "charge", "reset_before_reading", match={"dialect": "stripe"})
    answer = post(client, "/v1/payments/charge", **an_order(payment_token="pm_card_visa"))
    assert answer.status_code == 202
    payment_id = answer.json["payment_id"]
    for _ in range(2):
        an_hour_later(house, payment_id)
        look_up(house, payment_id)
    row = payment_row(house, payment_id)
    assert (row["status"], row["failure_code"]) == ("FAILED", "not_received")


def test_a_void_that_never_arrived_is_not_the_one_that_released_the_hold(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    """Stripe says only that the intent is canceled; its caller was told that it was not."""
    payment_id = by_stripe(client, capture=False)["payment_id"]
    arm(sandbox, "void", "reset_before_reading", match={"dialect": "stripe"})
    assert post(client, f"/v1/payments/{payment_id}/cancel").status_code == 202
    for _ in range(2):
        an_hour_later(house, payment_id)
        look_up(house, payment_id)
    assert post(client, f"/v1/payments/{payment_id}/cancel").json["status"] == "CANCELLED"
    look_up(house, payment_id)
    voids = rows(
        house,
        "SELECT status, lookups FROM transactions WHERE payment_id = :id AND type = 'VOID'"
        " ORDER BY number",
        id=payment_id,
    )
    assert [one["status"] for one in voids] == ["FAILED", "SUCCESS"]
    assert voids[0]["lookups"] == 1  # it was given up, and this one was after the hold's release
