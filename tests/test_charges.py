"""Charges: what callers are told, and what stands then here and at the provider."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.books import (
    a_pending_payment,
    a_trip,
    arrived,
    at_provider,
    change_trip,
    execute,
    payment_row,
    payments_of,
    post,
    rows,
)
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.sandbox_calls import arm
from tests.sandbox_server import Sandbox, reserved_port

CHARGE = "/v1/payments/charge"


@pytest.fixture(scope="module")
def fared(make_app: MakeApp) -> FlaskClient:
    """A client of an app that knows the parts of a fare."""
    return make_app(base_fare=Decimal("10.00"), rate_per_km=Decimal("1.00")).test_client()


@pytest.fixture(scope="module")
def alone(make_app: MakeApp) -> FlaskClient:
    """A client of an app without a trip service."""
    return make_app(trip_service_url=None).test_client()


def test_a_charge_takes_the_money_once_and_replays_its_bytes(charge: Any) -> None:
    key, order = a_key(), a_number()
    first = charge(key, order_id=order)
    assert first.status_code == 201, first.json
    assert first.json["status"] == "SUCCESS"
    again = charge(key, order_id=order)
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers


@pytest.mark.parametrize("code", ["insufficient_funds", "do_not_honor", "expired_card"])
def test_a_decline_is_told_and_stays(charge: Any, code: str) -> None:
    key, order = a_key(), a_number()
    declined = charge(key, order_id=order, payment_token=f"tok_decline_{code}")
    assert declined.status_code == 402
    assert (declined.json["status"], declined.json["failure_code"]) == ("FAILED", code)
    again = charge(key, order_id=order, payment_token=f"tok_decline_{code}")
    assert (again.status_code, again.data) == (402, declined.data)


def test_the_answer_the_row_and_the_provider_agree(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    body = an_order(
        user_id=7,
        reference="ride 7",
        description="To the airport",
        metadata={"z": "1", "a": "2"},
        payment_token="tok_ok",
    )
    began = datetime.datetime.now(datetime.UTC)
    answer = post(client, CHARGE, **body)
    told = answer.json
    assert answer.status_code == 201
    assert re.fullmatch(r"PAY-\d{8}-[0-9A-Z]{12}", told["reference"])
    (booked,) = at_provider(sandbox, "charges", told["reference"])
    stands = payment_row(app, told["payment_id"])
    assert (booked["amount_minor"], booked["currency"]) == (10000, "INR")
    assert (stands["authorized"], stands["captured"], stands["refunded"]) == (10000, 10000, 0)
    assert told["transaction_id"] == stands["provider_reference"] == booked["id"]
    assert told["authorization_code"] == booked["authorization_code"]
    now = datetime.datetime.now(datetime.UTC)
    began -= datetime.timedelta(milliseconds=1)
    for name in ("created_at", "updated_at", "completed_at", "captured_at", "timestamp"):
        assert told[name].endswith("Z")
        assert began <= datetime.datetime.fromisoformat(told[name]) <= now
    assert list(told["metadata"]) == ["z", "a"]
    wanted = {
        "trip_id": None,
        "order_id": body["order_id"],
        "rider_id": None,
        "driver_id": None,
        "user_id": 7,
        "amount": "100.00",
        "currency": "INR",
        "amount_captured": "100.00",
        "amount_refunded": "0.00",
        "method": "CARD",
        "provider": "sandbox",
        "status": "SUCCESS",
        "caller_reference": "ride 7",
        "purpose": "FARE",
        "failure_code": None,
        "failure_message": None,
        "description": "To the airport",
        "metadata": {"z": "1", "a": "2"},
        "message": "Payment success",
    }
    assert {name: told[name] for name in wanted} == wanted
    (asked,) = told["transactions"]
    assert (asked["transaction_type"], asked["amount"]) == ("CHARGE", "100.00")
    assert (asked["status"], asked["description"]) == ("SUCCESS", "To the airport")
    got = client.get(f"/v1/payments/{told['payment_id']}").json
    assert got == {name: told[name] for name in told if name not in ("message", "timestamp")}


@pytest.mark.parametrize(
    ("sent", "minor", "text"),
    [
        ({"amount": "104.86"}, 10486, "104.86"),
        ({"amount": 104.86}, 10486, "104.86"),
        ({"amount": 7}, 700, "7.00"),
        ({"amount_minor": 1}, 1, "0.01"),
        ({"amount": "12", "currency": "jpy"}, 12, "12"),
        ({"amount": "1.234", "currency": "KWD"}, 1234, "1.234"),
        ({"amount": "0.1", "currency": "KWD"}, 100, "0.100"),
        ({"amount": "100000.00"}, 10_000_000, "100000.00"),
    ],
)
def test_amounts_are_read_exactly(
    client: FlaskClient, sandbox: Sandbox, sent: dict[str, Any], minor: int, text: str
) -> None:
    answer = post(client, CHARGE, order_id=a_number(), **sent)
    assert answer.status_code == 201, answer.json
    (booked,) = at_provider(sandbox, "charges", answer.json["reference"])
    assert (booked["amount_minor"], answer.json["amount"]) == (minor, text)
    assert answer.json["amount_captured"] == text


@pytest.mark.parametrize(
    ("sent", "method"),
    [
        ("credit_card", "CARD"),
        ("DEBIT_CARD", "CARD"),
        ("upi", "UPI"),
        ("Net_Banking", "NET_BANKING"),
    ],
)
def test_methods_under_their_other_names(client: FlaskClient, sent: str, method: str) -> None:
    body = an_order()
    del body["method"]
    assert post(client, CHARGE, **body, payment_method=sent).json["method"] == method


def test_cash_for_an_order_asks_nobody(client: FlaskClient, sandbox: Sandbox) -> None:
    answer = post(client, CHARGE, **an_order(method="COD"))
    assert (answer.status_code, answer.json["status"]) == (201, "SUCCESS")
    assert (answer.json["method"], answer.json["provider"]) == ("CASH", "cash")
    assert arrived(sandbox, answer.json["reference"], "charge") == 0


# A trip's fare


def test_a_trip_is_charged_at_its_total_fare(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    trip_id = a_trip(sandbox)
    answer = post(client, CHARGE, trip_id=trip_id, method="CARD")
    assert (answer.status_code, answer.json["amount"]) == (201, "104.86"), answer.json
    assert (answer.json["rider_id"], answer.json["driver_id"]) == (101, 201)
    (booked,) = at_provider(sandbox, "charges", answer.json["reference"])
    assert booked["amount_minor"] == 10486
    (stands,) = payments_of(app, trip_id=trip_id)
    assert (stands["amount"], stands["captured"]) == (10486, 10486)


def test_a_rider_and_driver_who_are_sent_are_taken(client: FlaskClient, sandbox: Sandbox) -> None:
    answer = post(client, CHARGE, trip_id=a_trip(sandbox), rider_id=5, driver_id=6)
    assert (answer.json["rider_id"], answer.json["driver_id"]) == (5, 6)


@pytest.mark.parametrize(
    ("trip", "fare"),
    [
        ({"distance_km": 4.86, "surge_multiplier": 1.5}, "22.29"),
        ({"distance_km": 0.005, "surge_multiplier": 1}, "10.01"),  # half up; half even gives 10.00
        ({"distance_km": 0.0049, "surge_multiplier": 1}, "10.00"),
        ({"distance_km": 1.005, "surge_multiplier": 1.1}, "12.11"),  # once: 12.1055
        ({"distance_km": 0, "surge_multiplier": 2}, "20.00"),
        ({"distance_km": "3.1", "surge_multiplier": "1.3"}, "17.03"),
    ],
)
def test_a_fare_is_computed_where_the_trip_has_none(
    fared: FlaskClient, sandbox: Sandbox, trip: dict[str, Any], fare: str
) -> None:
    trip_id = a_trip(sandbox, total_fare=None, **trip)
    answer = post(fared, CHARGE, trip_id=trip_id)
    assert (answer.status_code, answer.json["amount"]) == (201, fare), answer.json
    (booked,) = at_provider(sandbox, "charges", answer.json["reference"])
    assert booked["amount"] == fare


@pytest.mark.parametrize("part", ["distance_km", "surge_multiplier"])
def test_a_missing_part_of_the_fare_is_an_error_and_never_0(
    app: Flask, fared: FlaskClient, sandbox: Sandbox, part: str
) -> None:
    for gone in (None, ""):
        trip_id = a_trip(sandbox, **{"total_fare": None, part: gone})
        answer = post(fared, CHARGE, trip_id=trip_id)
        assert answer.status_code == 422, answer.json
        assert part in answer.json["detail"]
        assert payments_of(app, trip_id=trip_id) == []


def test_a_field_of_another_name_is_a_missing_field(fared: FlaskClient, sandbox: Sandbox) -> None:
    trip_id = a_trip(sandbox, total_fare=None, distance_km=None, distance=5.43)
    assert post(fared, CHARGE, trip_id=trip_id).status_code == 422


def test_without_the_settings_no_fare_is_made_up(client: FlaskClient, sandbox: Sandbox) -> None:
    answer = post(client, CHARGE, trip_id=a_trip(sandbox, total_fare=None))
    assert answer.status_code == 422
    assert "BASE_FARE" in answer.json["detail"]
    assert "RATE_PER_KM" in answer.json["detail"]


@pytest.mark.parametrize(
    ("fare", "currency", "text"), [(1500, "JPY", "1500"), ("2.345", "KWD", "2.345")]
)
def test_a_trip_that_names_its_currency_decides(
    client: FlaskClient, sandbox: Sandbox, fare: Any, currency: str, text: str
) -> None:
    trip_id = a_trip(sandbox, total_fare=fare, currency=currency)
    answer = post(client, CHARGE, trip_id=trip_id, currency="INR")
    assert (answer.json["amount"], answer.json["currency"]) == (text, currency)


@pytest.mark.parametrize("sent", [{"amount": "2.50"}, {"amount_minor": 250}, {"amount": "2.505"}])
@pytest.mark.parametrize("path", [CHARGE, "/v1/payments"])
def test_as_much_of_another_currency_is_not_the_fare(
    app: Flask, client: FlaskClient, sandbox: Sandbox, path: str, sent: dict[str, Any]
) -> None:
    trip_id = a_trip(sandbox, total_fare="2.50", currency="USD")
    answer = post(client, path, trip_id=trip_id, currency="INR", **sent)
    assert (answer.status_code, answer.json["code"]) == (422, "amount_mismatch")
    assert (answer.json["expected_amount"], answer.json["currency"]) == ("2.50", "USD")
    assert payments_of(app, trip_id=trip_id) == []


@pytest.mark.parametrize("sent", [{"amount": "104.85"}, {"amount": 105}, {"amount_minor": 10487}])
def test_a_sent_amount_that_is_not_the_fare_is_refused(
    app: Flask, client: FlaskClient, sandbox: Sandbox, sent: dict[str, Any]
) -> None:
    trip_id = a_trip(sandbox)
    answer = post(client, CHARGE, trip_id=trip_id, **sent)
    assert (answer.status_code, answer.json["code"]) == (422, "amount_mismatch")
    assert "104.86" in answer.json["detail"]
    assert payments_of(app, trip_id=trip_id) == []


@pytest.mark.parametrize(
    "sent", [{"amount": "104.86"}, {"amount": 104.86}, {"amount_minor": 10486}]
)
def test_a_sent_amount_that_is_the_fare_is_taken(
    client: FlaskClient, sandbox: Sandbox, sent: dict[str, Any]
) -> None:
    assert post(client, CHARGE, trip_id=a_trip(sandbox), **sent).status_code == 201


@pytest.mark.parametrize("status", ["REQUESTED", "ACCEPTED", "ONGOING", "CANCELLED"])
def test_a_trip_that_is_not_completed(
    app: Flask, client: FlaskClient, sandbox: Sandbox, status: str
) -> None:
    trip_id, key = a_trip(sandbox, status=status), a_key()
    answer = post(client, CHARGE, key, trip_id=trip_id)
    assert (answer.status_code, answer.json["code"]) == (409, "trip_not_completed")
    assert (answer.json["trip_id"], answer.json["trip_status"]) == (trip_id, status)
    assert payments_of(app, trip_id=trip_id) == []
    change_trip(sandbox, trip_id, status="COMPLETED")
    assert post(client, CHARGE, key, trip_id=trip_id).status_code == 201


def test_an_unknown_trip(app: Flask, client: FlaskClient) -> None:
    trip_id = a_number()
    answer = post(client, CHARGE, trip_id=trip_id)
    assert (answer.status_code, answer.json["code"]) == (422, "trip_not_found")
    assert payments_of(app, trip_id=trip_id) == []


def test_cash_for_a_trip_needs_the_driver(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    trip_id = a_trip(sandbox, driver_id=None)
    answer = post(client, CHARGE, trip_id=trip_id, method="CASH")
    assert answer.status_code == 422
    assert "driver_id" in answer.json["errors"]
    assert payments_of(app, trip_id=trip_id) == []
    assert post(client, CHARGE, trip_id=trip_id, method="CASH", driver_id=9).status_code == 201


def test_a_created_cash_payment_of_a_trip_needs_the_driver_too(
    client: FlaskClient, sandbox: Sandbox
) -> None:
    created = a_pending_payment(client, method="CASH")
    assert post(client, f"/v1/payments/{created['payment_id']}/charge").status_code == 201
    trip_id = a_trip(sandbox, driver_id=None)
    answer = client.post("/v1/payments", json={"trip_id": trip_id, "method": "CASH"})
    assert answer.status_code == 422, answer.json
    assert "driver_id" in answer.json["errors"]
    by_card = client.post("/v1/payments", json={"trip_id": trip_id}).json
    answer = post(client, f"/v1/payments/{by_card['payment_id']}/charge", method="CASH")
    assert answer.status_code == 422, answer.json
    assert "driver_id" in answer.json["errors"]


@pytest.mark.parametrize(
    "fault", ["reset_before_reading", "fail_500", "fail_503", "garbage_200", "half_body"]
)
def test_a_trip_service_that_fails_is_a_503_and_nothing_is_written(
    app: Flask, client: FlaskClient, sandbox: Sandbox, fault: str
) -> None:
    trip_id, key = a_trip(sandbox), a_key()
    arm(sandbox, "trip", fault, match={"trip_id": trip_id}, times=2)
    answer = post(client, CHARGE, key, trip_id=trip_id)
    assert (answer.status_code, answer.json["code"]) == (503, "trip_service_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert payments_of(app, trip_id=trip_id) == []
    assert rows(app, "SELECT 1 FROM idempotency_keys WHERE key = :key", key=key) == []


def test_a_trip_service_that_is_down_leaves_the_key_free(
    app: Flask, client: FlaskClient, make_app: MakeApp, sandbox: Sandbox
) -> None:
    trip_id, key = a_trip(sandbox), a_key()
    with reserved_port() as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        without = make_app(trip_service_url=url).test_client()
        answer = post(without, CHARGE, key, trip_id=trip_id)
    assert (answer.status_code, answer.json["code"]) == (503, "trip_service_unavailable")
    assert "Retry-After" in answer.headers
    assert payments_of(app, trip_id=trip_id) == []
    assert post(client, CHARGE, key, trip_id=trip_id).status_code == 201


@pytest.mark.parametrize(
    "trip",
    [
        {"total_fare": -1},
        {"total_fare": "NaN"},
        {"total_fare": True},
        {"total_fare": 1.005},
        {"total_fare": 5, "currency": "XXX"},
        {"rider_id": "seven"},
        {"status": None},
    ],
)
def test_a_trip_that_can_not_be_read_is_never_guessed(
    app: Flask, client: FlaskClient, sandbox: Sandbox, trip: dict[str, Any]
) -> None:
    trip_id = a_trip(sandbox, **trip)
    answer = post(client, CHARGE, trip_id=trip_id)
    assert answer.status_code in (409, 503), answer.json
    assert payments_of(app, trip_id=trip_id) == []


def test_a_fare_of_nothing_is_not_charged(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    trip_id = a_trip(sandbox, total_fare=0)
    assert post(client, CHARGE, trip_id=trip_id).status_code == 422
    assert payments_of(app, trip_id=trip_id) == []


def test_without_a_trip_service_the_amount_is_the_callers(alone: FlaskClient) -> None:
    missing = post(alone, CHARGE, trip_id=a_number())
    assert missing.status_code == 422
    assert "amount" in missing.json["errors"]
    answer = post(alone, CHARGE, trip_id=a_number(), amount="12.30")
    assert (answer.status_code, answer.json["amount"]) == (201, "12.30")


@pytest.mark.parametrize("body", [{"amount": "1.00"}, {"amount": "1.00", "user_id": 1}])
def test_a_charge_is_for_a_trip_or_an_order(client: FlaskClient, body: dict[str, Any]) -> None:
    assert post(client, CHARGE, **body).status_code == 422


# One live payment for a trip


def test_a_trip_that_is_paid_is_not_paid_again(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    trip_id = a_trip(sandbox)
    paid = post(client, CHARGE, trip_id=trip_id).json
    answer = post(client, CHARGE, trip_id=trip_id)
    assert (answer.status_code, answer.json["code"]) == (409, "payment_exists")
    assert answer.json["payment_id"] == paid["payment_id"]
    assert len(payments_of(app, trip_id=trip_id)) == 1


def test_a_failed_payment_leaves_the_trip_free(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    trip_id = a_trip(sandbox)
    token = "tok_decline_insufficient_funds"
    assert post(client, CHARGE, trip_id=trip_id, payment_token=token).status_code == 402
    assert post(client, CHARGE, trip_id=trip_id).status_code == 201
    assert [row["status"] for row in payments_of(app, trip_id=trip_id)] == ["FAILED", "SUCCESS"]


def test_a_refunded_trip_is_not_charged_again(client: FlaskClient, sandbox: Sandbox) -> None:
    trip_id = a_trip(sandbox)
    paid = post(client, CHARGE, trip_id=trip_id).json
    assert post(client, f"/v1/payments/{paid['payment_id']}/refund").status_code == 200
    assert post(client, CHARGE, trip_id=trip_id).json["code"] == "payment_exists"


# Taking over a PENDING payment


def test_a_pending_payment_is_taken_over(app: Flask, client: FlaskClient, sandbox: Sandbox) -> None:
    created = a_pending_payment(client, method="UPI", description="first", rider_id=3)
    answer = post(
        client, CHARGE, order_id=created["order_id"], amount="100.00", method="CARD", driver_id=4
    )
    told = answer.json
    assert (answer.status_code, told["payment_id"]) == (201, created["payment_id"])
    assert (told["method"], told["provider"], told["status"]) == ("CARD", "sandbox", "SUCCESS")
    assert (told["rider_id"], told["driver_id"], told["description"]) == (3, 4, "first")
    assert told["created_at"] == created["created_at"]
    assert len(payments_of(app, order_id=created["order_id"])) == 1
    (booked,) = at_provider(sandbox, "charges", told["reference"])
    assert booked["reference"] == told["transactions"][0]["reference"] != created["reference"]


def test_a_created_payments_amount_must_match(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    created = a_pending_payment(client)
    answer = post(client, CHARGE, order_id=created["order_id"], amount="99.00")
    assert (answer.status_code, answer.json["code"]) == (422, "amount_mismatch")
    (stands,) = payments_of(app, order_id=created["order_id"])
    assert (stands["status"], stands["amount"]) == ("PENDING", 10000)
    assert arrived(sandbox, created["reference"], "charge") == 0


def test_a_created_payment_of_a_trip_must_match_the_fare(
    client: FlaskClient, sandbox: Sandbox
) -> None:
    trip_id = a_trip(sandbox, total_fare=99)
    assert client.post("/v1/payments", json={"trip_id": trip_id, "amount": 99}).status_code == 201
    change_trip(sandbox, trip_id, total_fare=100)
    answer = post(client, CHARGE, trip_id=trip_id)
    assert (answer.status_code, answer.json["code"]) == (422, "amount_mismatch")


def an_imported_payment(app: Flask, trip_id: int) -> int:
    execute(
        app,
        "INSERT INTO payments (trip_id, amount, currency, method, provider, status, reference,"
        " caller, created_at, updated_at) VALUES (:trip_id, 5000, 'INR', 'CASH', 'import',"
        " 'PENDING', :reference, 'import', now(), now())",
        trip_id=trip_id,
        reference=f"OLD-{trip_id}",
    )
    (stands,) = payments_of(app, trip_id=trip_id)
    payment_id: int = stands["payment_id"]
    return payment_id


def test_an_imported_payment_takes_the_fare(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    trip_id = a_trip(sandbox)
    payment_id = an_imported_payment(app, trip_id)
    answer = post(client, CHARGE, trip_id=trip_id, method="CARD")
    told = answer.json
    assert (answer.status_code, told["payment_id"], told["amount"]) == (201, payment_id, "104.86")
    assert (told["provider"], told["method"], told["reference"]) == (
        "sandbox",
        "CARD",
        f"OLD-{trip_id}",
    )
    (booked,) = at_provider(sandbox, "charges", told["reference"])
    assert booked["amount_minor"] == 10486
    assert post(client, f"/v1/payments/{payment_id}/refund").status_code == 200


def test_a_declined_take_over_leaves_the_trip_free(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    trip_id = a_trip(sandbox)
    payment_id = an_imported_payment(app, trip_id)
    token = "tok_decline_do_not_honor"
    declined = post(client, CHARGE, trip_id=trip_id, payment_token=token)
    assert (declined.status_code, declined.json["payment_id"]) == (402, payment_id)
    again = post(client, CHARGE, trip_id=trip_id)
    assert (again.status_code, again.json["payment_id"] == payment_id) == (201, False)


def test_trip_and_order_of_two_different_payments(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    trip_id = a_trip(sandbox)
    of_trip = client.post("/v1/payments", json={"trip_id": trip_id, "amount": "104.86"}).json
    of_order = a_pending_payment(client, amount="104.86")
    answer = post(client, CHARGE, trip_id=trip_id, order_id=of_order["order_id"])
    assert (answer.status_code, answer.json["code"]) == (409, "payment_exists")
    assert answer.json["payment_id"] in (of_trip["payment_id"], of_order["payment_id"])
    for payment in (of_trip, of_order):
        assert payment_row(app, payment["payment_id"])["status"] == "PENDING"
        assert arrived(sandbox, payment["reference"], "charge") == 0


def test_an_order_of_a_trip_whose_payment_is_pending_joins_it(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    trip_id, order_id = a_trip(sandbox), a_number()
    created = client.post("/v1/payments", json={"trip_id": trip_id, "amount": "104.86"}).json
    answer = post(client, CHARGE, trip_id=trip_id, order_id=order_id)
    assert (answer.status_code, answer.json["order_id"]) == (201, order_id)
    assert answer.json["payment_id"] == created["payment_id"]
    again = post(client, CHARGE, order_id=order_id, amount="104.86")
    assert again.json["code"] == "payment_exists"


def test_an_order_that_is_charged_just_then_is_no_500(
    app: Flask, client: FlaskClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look for live payments and the take-over another one takes the order."""
    from payment_service.services import takeover

    trip_id, order_id = a_trip(sandbox), a_number()
    client.post("/v1/payments", json={"trip_id": trip_id, "amount": "104.86"})
    look = takeover.lock_live
    others: list[Any] = []

    def look_and_be_late(*args: Any) -> Any:
        found = look(*args)
        if not others:
            others.append(post(app.test_client(), CHARGE, order_id=order_id, amount="1.00"))
        return found

    monkeypatch.setattr(takeover, "lock_live", look_and_be_late)
    answer = post(client, CHARGE, trip_id=trip_id, order_id=order_id)
    assert others[0].status_code == 201
    assert (answer.status_code, answer.json["code"]) == (409, "payment_exists")
    assert [row["status"] for row in payments_of(app, trip_id=trip_id)] == ["PENDING"]
