"""Receipts over REST: three forms, by format or Accept, and the same for ever."""

from __future__ import annotations

from decimal import Decimal
from io import BytesIO
from typing import Any

import pypdf
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.books import (
    a_charged_payment,
    a_pending_payment,
    a_trip,
    change_trip,
    execute,
    payments_of,
    post,
)
from tests.fixtures import MakeApp, a_number, an_order
from tests.sandbox_server import Sandbox


def url_of(payment: dict[str, Any], rest: str = "") -> str:
    return f"/v1/payments/{payment['payment_id']}/receipt{rest}"


@pytest.fixture
def ride(client: FlaskClient, sandbox: Sandbox) -> dict[str, Any]:
    """A charged trip of 5.43 km with a surge: (40.00) x 1.5 = 60.00."""
    trip_id = a_trip(sandbox, base_fare=40.00, surge_multiplier=1.5, total_fare=60.00)
    body = {"trip_id": trip_id, "method": "CARD", "description": "रात की सवारी"}
    answer = post(client, "/v1/payments/charge", **body)
    assert answer.status_code == 201, answer.json
    paid: dict[str, Any] = answer.json
    return paid


@pytest.mark.parametrize("accept", [None, "application/json", "text/html", "image/png"])
def test_every_answer_says_that_it_varies_by_accept(
    client: FlaskClient, ride: dict[str, Any], accept: str | None
) -> None:
    headers = {"Accept": accept} if accept else {}
    pending = a_pending_payment(client)
    for path, status in (
        (url_of(ride), 200),
        (url_of(ride, "?format=html"), 200),
        (url_of(pending), 409),
        ("/v1/payments/9223372036854775807/receipt", 404),
        (url_of(ride, "?format=xml"), 422),
        (url_of(ride, "?colour=red"), 422),
    ):
        answer = client.get(path, headers=headers)
        assert answer.status_code == status
        assert "Accept" in answer.vary
    repeated = [("X-Request-ID", "a"), ("X-Request-ID", "b")]
    assert "Accept" in client.get(url_of(ride), headers=repeated).vary
    assert "Accept" not in client.get(f"/v1/payments/{ride['payment_id']}").vary


def test_json(client: FlaskClient, ride: dict[str, Any]) -> None:
    answer = client.get(url_of(ride))
    receipt = answer.json
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert receipt["receipt_id"] == f"RCP-{ride['reference']}"
    assert (receipt["amount_paid"], receipt["net_amount"], receipt["currency"]) == (
        "60.00",
        "60.00",
        "INR",
    )
    assert (receipt["rider_id"], receipt["driver_id"], receipt["method"]) == (101, 201, "CARD")
    assert receipt["paid_at"] == ride["captured_at"]
    shown = {line["line"]: (line["amount"], line["figure"]) for line in receipt["lines"]}
    assert shown["base_fare"][0] == "40.00"
    assert shown["surge"][0] == "20.00"
    assert shown["distance"] == (None, "5.43")
    assert shown["total_fare"][0] == shown["paid"][0] == "60.00"


def test_the_three_forms_say_the_same(client: FlaskClient, ride: dict[str, Any]) -> None:
    receipt = client.get(url_of(ride)).json
    page = client.get(url_of(ride, "?format=html"))
    assert (page.status_code, page.content_type) == (200, "text/html; charset=utf-8")
    paper = client.get(url_of(ride, "?format=pdf"))
    assert (paper.status_code, paper.content_type) == (200, "application/pdf")
    assert f'filename="{receipt["receipt_id"]}.pdf"' in paper.headers["Content-Disposition"]
    document = pypdf.PdfReader(BytesIO(paper.data))
    assert len(document.pages) == 1
    printed = document.pages[0].extract_text()
    for text in (receipt["receipt_id"], "60.00", "40.00", "20.00", "101", "201", "5.43"):
        assert text in page.text, text
        assert text in printed.replace("\n", ""), text
    assert "रात की सवारी" in page.text


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/json", "application/json"),
        ("text/html", "text/html; charset=utf-8"),
        ("application/pdf", "application/pdf"),
        ("*/*", "application/json"),
        ("", "application/json"),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html; charset=utf-8",
        ),
        ("application/json;q=0.2, application/pdf;q=0.9", "application/pdf"),
        ("image/png", "application/json"),
    ],
)
def test_by_accept(
    client: FlaskClient, ride: dict[str, Any], accept: str, content_type: str
) -> None:
    answer = client.get(url_of(ride), headers={"Accept": accept})
    assert (answer.status_code, answer.content_type) == (200, content_type)


def test_the_format_decides_over_accept(client: FlaskClient, ride: dict[str, Any]) -> None:
    answer = client.get(url_of(ride, "?format=json"), headers={"Accept": "text/html"})
    assert answer.content_type == "application/json"
    assert client.get(url_of(ride, "?format=docx")).status_code == 422


def test_a_refund_adds_lines_and_changes_none(client: FlaskClient, ride: dict[str, Any]) -> None:
    before = client.get(url_of(ride)).json
    refund = f"/v1/payments/{ride['payment_id']}/refund"
    lines = before["lines"]
    for amount, net in (("10.00", "50.00"), ("0.01", "49.99"), (None, "0.00")):
        sent = {"amount": amount} if amount else {}
        assert post(client, refund, reason="late", **sent).status_code == 200
        after = client.get(url_of(ride)).json
        kept = [line for line in after["lines"] if line["line"] not in ("net",)]
        assert kept[: len(lines)] == lines
        assert len(kept) == len(lines) + 1
        assert after["net_amount"] == net
        lines = kept
    moving = {"status", "amount_refunded", "net_amount", "lines", "refunds"}
    assert {k: v for k, v in after.items() if k not in moving} == {
        k: v for k, v in before.items() if k not in moving
    }
    assert sum(Decimal(refund["amount"]) for refund in after["refunds"]) == Decimal("60.00")
    for form in ("html", "pdf"):
        assert client.get(url_of(ride, f"?format={form}")).status_code == 200


def test_a_failed_or_waiting_refund_adds_nothing(client: FlaskClient) -> None:
    for token in ("tok_refund_decline", "tok_refund_pending"):
        paid = a_charged_payment(client, payment_token=token)
        before = client.get(url_of(paid)).data
        assert post(client, f"/v1/payments/{paid['payment_id']}/refund").status_code in (202, 402)
        assert client.get(url_of(paid)).data == before


def test_the_fare_is_that_of_the_charge(
    client: FlaskClient, sandbox: Sandbox, ride: dict[str, Any]
) -> None:
    before = client.get(url_of(ride)).data
    change_trip(sandbox, ride["trip_id"], base_fare=1, surge_multiplier=9, total_fare=9)
    assert client.get(url_of(ride)).data == before


def test_a_computed_fare_is_taken_apart(make_app: MakeApp, sandbox: Sandbox) -> None:
    client = make_app(base_fare=Decimal("20.00"), rate_per_km=Decimal("10")).test_client()
    trip_id = a_trip(sandbox, total_fare=None, distance_km=3, surge_multiplier=2)
    paid = post(client, "/v1/payments/charge", trip_id=trip_id).json
    shown = {line["line"]: line["amount"] for line in client.get(url_of(paid)).json["lines"]}
    assert [shown[name] for name in ("base_fare", "distance", "surge", "total_fare")] == [
        "20.00",
        "30.00",
        "50.00",
        "100.00",
    ]


@pytest.mark.parametrize("form", ["json", "html", "pdf"])
def test_not_before_the_money_is_taken(client: FlaskClient, form: str) -> None:
    created = a_pending_payment(client)
    held = post(client, "/v1/payments/charge", **an_order(capture=False)).json
    declined = an_order(payment_token="tok_decline_do_not_honor")
    failed = post(client, "/v1/payments/charge", **declined).json
    for payment in (created, held, failed):
        answer = client.get(url_of(payment, f"?format={form}"))
        assert (answer.status_code, answer.json["code"]) == (409, "receipt_not_available")
        assert answer.content_type == "application/problem+json"


def test_of_a_payment_that_is_not_there(client: FlaskClient) -> None:
    answer = client.get("/v1/payments/999999999/receipt")
    assert (answer.status_code, answer.json["code"]) == (404, "payment_not_found")


def test_of_a_part_of_a_hold(client: FlaskClient) -> None:
    held = post(client, "/v1/payments/charge", **an_order(capture=False)).json
    assert (
        post(client, f"/v1/payments/{held['payment_id']}/capture", amount="60.00").status_code
        == 200
    )
    receipt = client.get(url_of(held)).json
    assert (receipt["amount_paid"], receipt["net_amount"]) == ("60.00", "60.00")


def test_of_history(app: Flask, client: FlaskClient) -> None:
    trip_id = a_number()
    execute(
        app,
        "INSERT INTO payments (trip_id, amount, currency, method, provider, status, reference,"
        " caller, authorized, captured, created_at, updated_at) VALUES (:trip, 8580, 'INR', 'CASH',"
        " 'import', 'SUCCESS', :reference, 'import', 8580, 8580, '2026-01-02Z', now())",
        trip=trip_id,
        reference=f"OLD-{trip_id}",
    )
    (found,) = payments_of(app, trip_id=trip_id)
    receipt = client.get(url_of(found)).json
    assert (receipt["receipt_id"], receipt["amount_paid"]) == (f"RCP-OLD-{trip_id}", "85.80")
    assert receipt["paid_at"] == "2026-01-02T00:00:00Z"


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "1200"), ("KWD", "1.234")])
def test_of_other_currencies(client: FlaskClient, currency: str, amount: str) -> None:
    paid = a_charged_payment(client, currency=currency, amount=amount)
    assert client.get(url_of(paid)).json["amount_paid"] == amount
    shown = client.get(url_of(paid, "?format=html")).text
    assert amount in shown.replace(",", "")
