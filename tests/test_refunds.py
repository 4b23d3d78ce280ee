"""Refunds: in parts, down to the last minor unit, and never more than was captured."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payment_service.domain.callers import WORKER
from payment_service.domain.money import format_amount
from payment_service.domain.states import Verdict
from payment_service.providers.contract import Outcome, Result
from payment_service.services.moves import evidence
from tests.books import (
    a_charged_payment,
    a_pending_payment,
    a_trip,
    arrived,
    at_provider,
    execute,
    payment_row,
    post,
    rows,
)
from tests.clocks import look_up
from tests.fixtures import MakeApp, a_key, a_number
from tests.sandbox_calls import arm, decide
from tests.sandbox_server import Sandbox

EXAMPLES = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def refund_url(payment: dict[str, Any]) -> str:
    return f"/v1/payments/{payment['payment_id']}/refund"


def given_back(sandbox: Sandbox, payment: dict[str, Any]) -> int:
    """What the provider's own list says."""
    found = at_provider(sandbox, "refunds", payment["reference"])
    return sum(refund["amount_minor"] for refund in found if refund["state"] == "succeeded")


# In parts


@pytest.mark.parametrize("currency", ["INR", "JPY", "KWD"])
@EXAMPLES
@given(cuts=st.lists(st.integers(1, 2345), max_size=5, unique=True))
def test_in_parts_down_to_the_last_minor_unit(
    app: Flask, client: FlaskClient, sandbox: Sandbox, currency: str, cuts: list[int]
) -> None:
    """Any partition of 2346 minor units: after each part the amounts, the statuses, the rows and
    the provider's list agree, and not one unit more can be had."""
    whole = 2346
    edges = [0, *sorted(cuts), whole]
    parts = [after - before for before, after in itertools.pairwise(edges)]
    payment = a_charged_payment(client, amount=format_amount(whole, currency), currency=currency)
    refunded = 0
    for part in parts:
        too_much = post(client, refund_url(payment), amount_minor=whole - refunded + 1)
        assert (too_much.status_code, too_much.json["code"]) == (422, "refund_exceeds_captured")
        assert too_much.json["refundable"] == format_amount(whole - refunded, currency)
        answer = post(client, refund_url(payment), amount_minor=part)
        refunded += part
        status = "REFUNDED" if refunded == whole else "PARTIALLY_REFUNDED"
        assert answer.status_code == 200, answer.json
        assert (answer.json["status"], answer.json["refund_status"]) == (status, "SUCCESS")
        assert answer.json["refund_amount"] == format_amount(part, currency)
        assert answer.json["currency"] == currency
        stands = payment_row(app, payment["payment_id"])
        assert (stands["refunded"], stands["refund_pending"]) == (refunded, 0)
        assert (stands["captured"], stands["status"]) == (whole, status)
        shown = client.get(f"/v1/payments/{payment['payment_id']}").json
        assert shown["amount_refunded"] == format_amount(refunded, currency)
        assert shown["amount_captured"] == format_amount(whole, currency)
        assert given_back(sandbox, payment) == refunded
    over = post(client, refund_url(payment), amount_minor=1)
    assert (over.status_code, over.json["refundable"]) == (422, format_amount(0, currency))
    assert post(client, refund_url(payment)).status_code == 422
    assert arrived(sandbox, payment["reference"], "refund") == len(parts)


@pytest.mark.parametrize(
    ("currency", "amount", "first", "last"),
    [
        ("INR", "100.00", "99.99", "0.01"),
        ("JPY", "100", "99", "1"),
        ("KWD", "1.000", "0.999", "0.001"),
    ],
)
def test_the_last_unit_of_a_currency_in_major_units(
    client: FlaskClient, currency: str, amount: str, first: str, last: str
) -> None:
    payment = a_charged_payment(client, amount=amount, currency=currency)
    part = post(client, refund_url(payment), amount=first)
    assert (part.json["status"], part.json["refund_amount"]) == ("PARTIALLY_REFUNDED", first)
    rest = post(client, refund_url(payment))
    assert (rest.json["status"], rest.json["refund_amount"]) == ("REFUNDED", last)


@pytest.mark.parametrize(
    ("currency", "amount"), [("INR", "1.005"), ("JPY", "1.5"), ("KWD", "0.0001")]
)
def test_more_decimals_than_the_currency_has(
    client: FlaskClient, currency: str, amount: str
) -> None:
    payment = a_charged_payment(client, amount="50", currency=currency)
    assert post(client, refund_url(payment), amount=amount).status_code == 422


@pytest.mark.parametrize("amount", [0, -5, "0.00", "-5", "99999", 100.01, None, True, "1e1", "NaN"])
def test_amounts_that_are_none_or_too_much(
    app: Flask, client: FlaskClient, sandbox: Sandbox, amount: Any
) -> None:
    payment = a_charged_payment(client)
    answer = post(client, refund_url(payment), amount=amount)
    assert answer.status_code == 422, answer.json
    stands = payment_row(app, payment["payment_id"])
    assert (stands["status"], stands["refund_pending"]) == ("SUCCESS", 0)
    assert arrived(sandbox, payment["reference"], "refund") == 0


def test_without_a_body_all_that_is_left(client: FlaskClient) -> None:
    payment = a_charged_payment(client)
    post(client, refund_url(payment), amount="12.34")
    answer = client.post(refund_url(payment), headers={"Idempotency-Key": a_key()})
    assert (answer.status_code, answer.json["refund_amount"]) == (200, "87.66")


# The resource


def test_a_refund_as_a_resource(client: FlaskClient, sandbox: Sandbox) -> None:
    payment = a_charged_payment(client)
    answer = post(
        client, "/v1/refunds", payment_id=payment["payment_id"], amount="30.00", reason="late"
    )
    made = answer.json
    assert answer.status_code == 201
    assert (made["status"], made["amount"], made["reason"]) == ("SUCCESS", "30.00", "late")
    assert (made["payment_id"], made["currency"]) == (payment["payment_id"], "INR")
    (booked,) = at_provider(sandbox, "refunds", payment["reference"])
    assert made["transaction_id"] == booked["id"]
    assert client.get(f"/v1/refunds/{made['refund_id']}").json == made
    listed = client.get(f"/v1/payments/{payment['payment_id']}/refunds").json
    assert (listed["refunds"], listed["count"]) == ([made], 1)


def test_lists_of_refunds(client: FlaskClient) -> None:
    payment = a_charged_payment(client)
    for _ in range(3):
        assert post(client, refund_url(payment), amount="1.00").status_code == 200
    mine = f"payment_id={payment['payment_id']}"
    page = client.get(f"/v1/refunds?{mine}&limit=2&total=true").json
    assert (page["count"], page["has_more"], page["total"]) == (2, True, 3)
    rest = client.get(f"/v1/refunds?{mine}&limit=2&cursor={page['next_cursor']}").json
    ids = [refund["refund_id"] for refund in (*page["refunds"], *rest["refunds"])]
    assert (rest["has_more"], rest["next_cursor"]) == (False, None)
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 3
    assert client.get(f"/v1/refunds?{mine}&status=SUCCEEDED").json["count"] == 3
    assert client.get(f"/v1/refunds?{mine}&status=FAILED").json["count"] == 0
    newest = client.get("/v1/refunds?limit=1").json
    assert newest["refunds"][0]["refund_id"] >= ids[0]


def test_what_is_not_there(client: FlaskClient) -> None:
    for path in ("/v1/refunds/999999999", "/v1/payments/999999999/refunds"):
        assert client.get(path).status_code == 404
    answer = post(client, "/v1/refunds", payment_id=999999999)
    assert (answer.status_code, answer.json["code"]) == (404, "payment_not_found")
    assert client.get("/v1/refunds/999999999").json["code"] == "refund_not_found"


# Not refundable


@pytest.mark.parametrize("status", ["PENDING", "FAILED", "CANCELLED", "AUTHORIZED", "PROCESSING"])
def test_what_is_not_captured_can_not_be_given_back(
    make_app: MakeApp, client: FlaskClient, sandbox: Sandbox, status: str
) -> None:
    charge = {"order_id": a_number(), "amount": "10.00"}
    if status == "PENDING":
        payment = a_pending_payment(client)
    elif status == "CANCELLED":
        payment = a_pending_payment(client)
        assert client.delete(f"/v1/payments/{payment['payment_id']}").status_code == 200
    elif status == "PROCESSING":
        charge["payment_token"] = a_key()
        arm(sandbox, "charge", "do_and_lose_answer", match={"token": charge["payment_token"]})
        payment = post(client, "/v1/payments/charge", **charge).json
    elif status == "FAILED":
        charge["payment_token"] = "tok_decline_do_not_honor"
        payment = post(client, "/v1/payments/charge", **charge).json
    else:
        payment = post(client, "/v1/payments/charge", **charge, capture=False).json
    answer = post(client, refund_url(payment))
    assert (answer.status_code, answer.json["code"]) == (409, "not_refundable")
    assert answer.json["payment_status"] == status
    assert arrived(sandbox, payment["reference"], "refund") == 0


def test_an_imported_payment_can_not_be_given_back(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    reference = f"OLD-{a_key()}"
    execute(
        app,
        "INSERT INTO payments (trip_id, amount, currency, method, provider, status, reference,"
        " caller, authorized, captured, created_at, updated_at) VALUES (:trip, 500, 'INR', 'CARD',"
        " 'import', 'SUCCESS', :reference, 'import', 500, 500, now(), now())",
        trip=a_number(),
        reference=reference,
    )
    (found,) = client.get(f"/v1/payments?reference={reference}").json["payments"]
    answer = post(client, refund_url(found))
    assert (answer.status_code, answer.json["code"]) == (409, "not_refundable")
    assert arrived(sandbox, reference, "refund") == 0


# What the provider says


def test_a_declined_refund_gives_the_ceiling_back(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment, key = a_charged_payment(client, payment_token="tok_refund_decline"), a_key()
    answer = post(client, refund_url(payment), key, amount="40.00")
    assert (answer.status_code, answer.json["refund_status"]) == (402, "FAILED")
    assert answer.json["status"] == "SUCCESS"
    assert answer.json["failure_code"]
    stands = payment_row(app, payment["payment_id"])
    assert (stands["status"], stands["refunded"], stands["refund_pending"]) == ("SUCCESS", 0, 0)
    again = post(client, refund_url(payment), key, amount="40.00")
    assert (again.status_code, again.data) == (402, answer.data)
    resource = post(client, "/v1/refunds", payment_id=payment["payment_id"])
    assert (resource.status_code, resource.json["status"]) == (402, "FAILED")
    assert given_back(sandbox, payment) == 0


@pytest.mark.parametrize("outcome", ["approve", "decline"])
def test_a_refund_that_waits_counts_against_the_ceiling(
    app: Flask, client: FlaskClient, sandbox: Sandbox, outcome: str
) -> None:
    payment, key = a_charged_payment(client, payment_token="tok_refund_pending"), a_key()
    waiting = post(client, refund_url(payment), key, amount="60.00")
    assert (waiting.status_code, waiting.json["refund_status"]) == (202, "PENDING")
    assert waiting.json["status"] == "SUCCESS"
    assert payment_row(app, payment["payment_id"])["refund_pending"] == 6000
    over = post(client, refund_url(payment), amount="60.00")
    assert (over.status_code, over.json["refundable"]) == (422, "40.00")
    (booked,) = at_provider(sandbox, "refunds", payment["reference"])
    assert decide(sandbox, booked["reference"], outcome).ok
    final = post(client, refund_url(payment), key, amount="60.00")
    if outcome == "approve":
        assert (final.status_code, final.json["refund_status"]) == (200, "SUCCESS")
        assert final.json["status"] == "PARTIALLY_REFUNDED"
    else:
        assert (final.status_code, final.json["refund_status"]) == (402, "FAILED")
    stands = payment_row(app, payment["payment_id"])
    assert stands["refund_pending"] == 0
    assert stands["refunded"] == given_back(sandbox, payment)


# Cash


def a_cash_refund(client: FlaskClient, amount: str) -> tuple[dict[str, Any], str, dict[str, Any]]:
    payment, key = a_charged_payment(client, method="CASH"), a_key()
    answer = post(client, refund_url(payment), key, amount=amount)
    assert (answer.status_code, answer.json["refund_status"]) == (202, "PENDING"), answer.json
    return payment, key, answer.json


def test_cash_is_pending_until_a_person_says_that_it_was_handed_back(
    app: Flask, client: FlaskClient
) -> None:
    payment, key, refund = a_cash_refund(client, "25.00")
    assert post(client, refund_url(payment), key, amount="25.00").status_code == 202
    url = f"/v1/refunds/{refund['refund_id']}"
    done = client.patch(f"{url}/status", json={"status": "success", "reason": "at the desk"})
    assert (done.status_code, done.json["status"]) == (200, "SUCCESS")
    told = client.get(f"/v1/payments/{payment['payment_id']}/events").json["events"]
    assert [one["reason"] for one in told if one["what"] == "refund.succeeded"] == ["at the desk"]
    stands = payment_row(app, payment["payment_id"])
    assert (stands["status"], stands["refunded"]) == ("PARTIALLY_REFUNDED", 2500)
    final = post(client, refund_url(payment), key, amount="25.00")
    assert (final.status_code, final.json["refund_status"]) == (200, "SUCCESS")
    again = client.patch(f"{url}/status", json={"status": "FAILED"})
    assert (again.status_code, again.json["code"]) == (409, "illegal_transition")
    assert (again.json["from"], again.json["to"]) == ("SUCCESS", "FAILED")


def test_cash_that_was_not_handed_back(app: Flask, client: FlaskClient) -> None:
    payment, key, refund = a_cash_refund(client, "100.00")
    url = f"/v1/refunds/{refund['refund_id']}/status"
    done = client.patch(url, json={"status": "FAILED", "reason": "nobody came"})
    assert (done.json["status"], done.json["failure_message"]) == ("FAILED", "nobody came")
    stands = payment_row(app, payment["payment_id"])
    assert (stands["status"], stands["refund_pending"]) == ("SUCCESS", 0)
    assert post(client, refund_url(payment), key, amount="100.00").status_code == 402
    assert post(client, refund_url(payment)).status_code == 202


def test_a_persons_word_moves_only_cash(client: FlaskClient) -> None:
    payment = a_charged_payment(client, payment_token="tok_refund_pending")
    refund = post(client, refund_url(payment)).json
    answer = client.patch(f"/v1/refunds/{refund['refund_id']}/status", json={"status": "SUCCESS"})
    assert (answer.status_code, answer.json["code"]) == (409, "illegal_transition")
    assert (
        client.patch("/v1/refunds/999999999/status", json={"status": "SUCCESS"}).status_code == 404
    )


def test_the_worker_does_not_settle_cash(app: Flask, client: FlaskClient) -> None:
    payment, _, refund = a_cash_refund(client, "1.00")
    look_up(app, payment["payment_id"])
    assert client.get(f"/v1/refunds/{refund['refund_id']}").json["status"] == "PENDING"


def test_every_refund_has_its_request_and_its_events(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    paid = post(client, "/v1/payments/charge", trip_id=a_trip(sandbox)).json
    post(client, refund_url(paid), amount="4.86")
    post(client, refund_url(paid))
    asked = rows(
        app,
        "SELECT number, type, status, amount FROM transactions WHERE payment_id = :id"
        " ORDER BY number",
        id=paid["payment_id"],
    )
    assert [(row["number"], row["type"], row["amount"]) for row in asked] == [
        (1, "CHARGE", 10486),
        (2, "REFUND", 486),
        (3, "REFUND", 10000),
    ]
    events = rows(
        app,
        "SELECT type FROM events WHERE payment_id = :id ORDER BY seq",
        id=paid["payment_id"],
    )
    assert [event["type"] for event in events] == [
        "payment.succeeded",
        "refund.requested",
        "refund.succeeded",
        "payment.partially_refunded",
        "refund.requested",
        "refund.succeeded",
        "payment.refunded",
    ]


def test_a_refund_that_is_taken_back_keeps_the_time_at_which_it_was_given(
    app: Flask, client: FlaskClient
) -> None:
    """A receipt shows when it was given, and when it was taken back."""
    payment = a_charged_payment(client)
    answer = post(client, f"/v1/payments/{payment['payment_id']}/refund", amount="1.00")
    before = client.get(f"/v1/refunds/{answer.json['refund_id']}").json
    with app.app_context():
        assert evidence.accept(
            payment_id=payment["payment_id"],
            number=2,
            verdict=Verdict.DECLINED,
            result=Result(Outcome.DECLINED),
            caller=WORKER,
        )
    back = client.get(f"/v1/refunds/{answer.json['refund_id']}").json
    assert (back["status"], back["failure_code"]) == ("FAILED", "taken_back")
    assert back["completed_at"] == before["completed_at"] == before["updated_at"]
    assert back["updated_at"] > before["updated_at"]
    assert payment_row(app, payment["payment_id"])["status"] == "SUCCESS"
