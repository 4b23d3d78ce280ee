"""Every way in which a trip's money may be taken: it is paid once, and it costs its fare."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from payment_service.config import ByCurrency
from payment_service.extensions import db
from payment_service.services import expiry
from payment_service.services.moves import due, resolution
from tests.books import (
    a_trip,
    arrived,
    at_once,
    change_trip,
    execute,
    payment_row,
    payments_of,
    post,
    rows,
)
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.histories import a_row, loader
from tests.sandbox_calls import arm, eventually
from tests.sandbox_server import Sandbox

CHARGE = "/v1/payments/charge"
FARE = 10486
BLOCKED = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""

Import = Callable[..., int]


@pytest.fixture
def history(app: Flask) -> Import:
    """Puts an imported payment of a trip there, as seeding does: history that is taken as it is."""

    def insert(trip_id: int | None, **changes: Any) -> int:
        paid = changes.get("status") == "SUCCESS"
        values = {
            "trip_id": trip_id,
            "share": 0,
            "amount": 5500,
            "currency": "INR",
            "method": "CARD",
            "status": "PENDING",
            "reference": f"OLD-{a_key()}",
        } | changes
        values |= {"authorized": values["amount"] if paid else 0}
        execute(
            app,
            "INSERT INTO payments (trip_id, share, amount, currency, authorized, captured, method,"
            " provider, status, reference, caller, created_at, updated_at) VALUES (:trip_id,"
            " :share, :amount, :currency, :authorized, :authorized, :method, 'import', :status,"
            " :reference, 'import', now(), now())",
            **values,
        )
        (row,) = rows(
            app,
            "SELECT payment_id FROM payments WHERE reference = :r",
            r=values["reference"],
        )
        payment_id: int = row["payment_id"]
        return payment_id

    return insert


def by_id(client: FlaskClient, payment_id: int, **body: Any) -> Any:
    return post(client, f"/v1/payments/{payment_id}/charge", **body)


def settle(client: FlaskClient, payment_id: int) -> Any:
    return client.patch(f"/v1/payments/{payment_id}/status", json={"status": "SUCCESS"})


def asked(app: Flask, sandbox: Sandbox, payment_id: int) -> int:
    return arrived(sandbox, payment_row(app, payment_id)["reference"], "charge")


# A trip is paid once


def test_a_surplus_row_of_a_paid_trip_can_only_be_cancelled(
    app: Flask, client: FlaskClient, sandbox: Sandbox, history: Import
) -> None:
    trip_id = a_trip(sandbox)
    paid = post(client, CHARGE, trip_id=trip_id).json
    surplus = history(trip_id, share=1)
    cash = history(trip_id, share=2, method="CASH")
    for answer in (by_id(client, surplus), settle(client, cash)):
        assert (answer.status_code, answer.json["code"]) == (409, "payment_exists")
        assert answer.json["payment_id"] == paid["payment_id"]
    assert asked(app, sandbox, surplus) == 0
    for payment_id in (surplus, cash):
        assert post(client, f"/v1/payments/{payment_id}/cancel").json["status"] == "CANCELLED"


def test_of_two_rows_of_an_unpaid_trip_the_one_in_its_place_is_charged(
    app: Flask, client: FlaskClient, sandbox: Sandbox, history: Import
) -> None:
    trip_id = a_trip(sandbox)
    first, second = history(trip_id), history(trip_id, share=1)
    answer = by_id(client, second)
    assert (answer.status_code, answer.json["payment_id"]) == (409, first)
    post(client, f"/v1/payments/{first}/cancel")
    answer = by_id(client, second)
    assert (answer.status_code, answer.json["amount"]) == (201, "104.86")
    assert client.get(f"/v1/payments/trip/{trip_id}").json["payment_id"] == second


@pytest.mark.parametrize("rounds", range(3))
def test_two_rows_that_want_the_place_at_once(
    app: Flask, sandbox: Sandbox, history: Import, rounds: int
) -> None:
    trip_id = a_trip(sandbox)
    found = [history(trip_id, share=share) for share in (1, 2, 3)]
    answers = at_once([lambda i=i: by_id(app.test_client(), i) for i in found])  # type: ignore[misc]
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert sum(asked(app, sandbox, payment_id) for payment_id in found) == 1


@pytest.mark.parametrize("share", [0, 1])
def test_history_that_paid_beside_the_place_counts_for_every_door(
    app: Flask, client: FlaskClient, sandbox: Sandbox, history: Import, share: int
) -> None:
    """The trip's own payment failed after history had come in that says it is paid."""
    trip_id = a_trip(sandbox)
    failed = post(client, CHARGE, trip_id=trip_id, payment_token="tok_decline_do_not_honor")
    assert failed.status_code == 402
    paid = history(trip_id, share=1 - share, status="SUCCESS")
    answer = post(client, CHARGE, trip_id=trip_id)
    assert (answer.status_code, answer.json["payment_id"]) == (409, paid)
    pending = history(trip_id, share=share)
    for answer in (
        post(client, CHARGE, trip_id=trip_id),
        client.post("/v1/payments", json={"trip_id": trip_id}),
        by_id(client, pending),
    ):
        assert (answer.status_code, answer.json["code"]) == (409, "payment_exists")
    assert by_id(client, pending).json["payment_id"] == paid
    assert len(payments_of(app, trip_id=trip_id)) == 3


def test_an_orders_payment_is_not_taken_over_for_a_trip_that_history_paid(
    app: Flask, client: FlaskClient, sandbox: Sandbox, history: Import
) -> None:
    """The row that stands is the order's and knows nothing of the trip that the charge names."""
    trip_id, order_id = a_trip(sandbox), a_number()
    paid = history(trip_id, share=1, status="SUCCESS")
    created = client.post("/v1/payments", json={"order_id": order_id, "amount": "104.86"}).json
    answer = post(client, CHARGE, trip_id=trip_id, order_id=order_id)
    assert (answer.status_code, answer.json["code"]) == (409, "payment_exists")
    assert answer.json["payment_id"] == paid
    assert asked(app, sandbox, created["payment_id"]) == 0
    assert payment_row(app, created["payment_id"])["trip_id"] is None


def test_a_trips_payment_does_not_die_while_an_import_goes_round_it(
    app: Flask, client: FlaskClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The import has seen the hold and puts what history paid beside it; nobody sees that before it
    is committed. If the hold ended meanwhile, the trip would seem to be due."""
    trip_id = a_trip(sandbox)
    held = post(client, CHARGE, trip_id=trip_id, capture=False).json
    with ThreadPoolExecutor(2) as pool, app.app_context():
        load = loader(db.engine, tmp_path)
        line = a_row(a_number(), trip_id=trip_id, status="SUCCESS", reference=f"OLD-{a_key()}")
        with db.engine.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE import_seals IN ACCESS EXCLUSIVE MODE")
            imported = pool.submit(load, line, progress=False)
            waiting(1)
            path = f"/v1/payments/{held['payment_id']}/cancel"
            cancelled = pool.submit(post, app.test_client(), path)
            waiting(2)
        assert imported.result().loaded == 1
        assert cancelled.result().status_code == 200
    answer = post(client, CHARGE, trip_id=trip_id)
    assert (answer.status_code, answer.json["code"]) == (409, "payment_exists")


def waiting(sessions: int) -> None:
    """Returns once so many sessions of this database wait for a lock."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    def are_there() -> bool:
        with db.engine.connect() as connection:
            return bool(connection.execute(query).scalar_one() >= sessions)

    eventually(are_there)


def test_a_hold_is_not_captured_for_a_trip_that_history_paid(
    app: Flask, client: FlaskClient, sandbox: Sandbox, history: Import
) -> None:
    trip_id = a_trip(sandbox)
    held = post(client, CHARGE, trip_id=trip_id, capture=False).json
    paid = history(trip_id, share=1, status="SUCCESS")
    answer = post(client, f"/v1/payments/{held['payment_id']}/capture")
    assert (answer.status_code, answer.json["payment_id"]) == (409, paid)
    answer = post(client, f"/v1/payments/{held['payment_id']}/cancel")
    assert (answer.status_code, answer.json["status"]) == (200, "CANCELLED")


def test_a_hold_that_came_in_late_is_captured_only_where_nobody_pays(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    """It lies on a spare share beside the payment that took its place."""
    trip_id = a_trip(sandbox)
    late = post(client, CHARGE, trip_id=trip_id, capture=False).json
    execute(
        app,
        "UPDATE payments SET share = 1, expires_at = now() WHERE payment_id = :id",
        id=late["payment_id"],
    )
    paid = post(client, CHARGE, trip_id=trip_id, capture=False).json
    answer = post(client, f"/v1/payments/{late['payment_id']}/capture")
    assert (answer.status_code, answer.json["payment_id"]) == (409, paid["payment_id"])
    post(client, f"/v1/payments/{paid['payment_id']}/cancel")
    answer = post(client, f"/v1/payments/{late['payment_id']}/capture")
    assert (answer.status_code, answer.json["status"]) == (200, "SUCCESS")
    assert client.get(f"/v1/payments/trip/{trip_id}").json["payment_id"] == late["payment_id"]


def test_a_late_hold_whose_place_is_taken_meanwhile_is_not_captured(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    """Another payment takes the place after the capture has asked whether the money is due."""
    trip_id = a_trip(sandbox)
    late = post(client, CHARGE, trip_id=trip_id, capture=False).json["payment_id"]
    execute(app, "UPDATE payments SET share = 1 WHERE payment_id = :id", id=late)
    other = post(client, CHARGE, trip_id=trip_id, capture=False).json["payment_id"]
    moved = text("UPDATE payments SET status = :to WHERE payment_id = :id")
    execute(app, str(moved), to="CANCELLED", id=other)
    with app.app_context(), db.engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        connection.execute(moved, {"to": "AUTHORIZED", "id": other})
        capture = pool.submit(post, app.test_client(), f"/v1/payments/{late}/capture")
        eventually(lambda: rows(app, BLOCKED))
        connection.commit()
        answer = capture.result()
    assert (answer.status_code, answer.json["payment_id"]) == (409, other)
    assert arrived(sandbox, payment_row(app, late)["reference"], "capture") == 0


@pytest.mark.parametrize("door", ["by id", "charge"])
def test_behind_the_question_the_database_refuses(
    app: Flask,
    client: FlaskClient,
    sandbox: Sandbox,
    history: Import,
    door: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody is asked for the money of a payment beside the place of its trip."""
    trip_id = a_trip(sandbox)
    post(client, CHARGE, trip_id=trip_id)
    surplus = history(trip_id, share=1)
    monkeypatch.setattr(due, "expect_due", lambda connection, payment: None)
    answer = by_id(client, surplus) if door == "by id" else post(client, CHARGE, trip_id=trip_id)
    assert answer.status_code == 409, answer.json
    with pytest.raises(IntegrityError, match="charged_in_its_place"):
        execute(app, "UPDATE payments SET status = 'PROCESSING' WHERE payment_id = :id", id=surplus)
    assert asked(app, sandbox, surplus) == 0


def test_money_that_comes_in_late_goes_back_where_history_had_paid(
    app: Flask, client: FlaskClient, sandbox: Sandbox, history: Import
) -> None:
    """Its request was given up, so the trip's place was free; but the trip was paid."""
    trip_id = a_trip(sandbox)
    token = f"card-{a_key()}"
    arm(sandbox, "charge", "do_and_lose_answer", match={"token": token})
    late = post(client, CHARGE, trip_id=trip_id, payment_token=token).json
    history(trip_id, share=1, status="SUCCESS")
    execute(
        app,
        "WITH t AS (UPDATE transactions SET status = 'FAILED', failure_code = 'not_received',"
        " due_at = now() WHERE payment_id = :id) UPDATE payments SET status = 'FAILED'"
        " WHERE payment_id = :id",
        id=late["payment_id"],
    )
    with app.app_context():
        assert resolution.resolve(payment_id=late["payment_id"], number=1)
        while expiry.run_once()["ended"]:
            pass
    stands = payment_row(app, late["payment_id"])
    assert (stands["status"], stands["refunded"], stands["share"]) == ("REFUNDED", FARE, 2)


# A trip costs its fare


def test_a_trips_payment_costs_the_fare_where_only_its_order_is_named(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    trip_id, order_id = a_trip(sandbox, total_fare=10), a_number()
    body = {"trip_id": trip_id, "order_id": order_id}
    created = client.post("/v1/payments", json=body).json
    for change, amount, status, code in (
        ({"total_fare": 77}, "10.00", 422, "amount_mismatch"),
        ({"total_fare": 77}, "77.00", 422, "amount_mismatch"),
        ({"total_fare": 10, "status": "CANCELLED"}, "10.00", 409, "trip_not_completed"),
    ):
        change_trip(sandbox, trip_id, **change)
        answer = post(client, CHARGE, order_id=order_id, amount=amount)
        assert (answer.status_code, answer.json["code"]) == (status, code)
    assert asked(app, sandbox, created["payment_id"]) == 0
    change_trip(sandbox, trip_id, status="COMPLETED")
    paid = post(client, CHARGE, order_id=order_id, amount="10.00").json
    assert (paid["payment_id"], paid["status"]) == (created["payment_id"], "SUCCESS")
    assert (paid["trip_id"], paid["amount"]) == (trip_id, "10.00")


def test_a_created_payment_costs_the_fare_at_every_door(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    trip_id = a_trip(sandbox, total_fare=10)
    made = client.post("/v1/payments", json={"trip_id": trip_id, "amount": "99999.00"})
    assert (made.status_code, made.json["code"]) == (422, "amount_mismatch")
    created = client.post("/v1/payments", json={"trip_id": trip_id, "method": "CASH"}).json
    assert (created["amount"], created["driver_id"]) == ("10.00", 201)
    change_trip(sandbox, trip_id, total_fare=11)
    for answer in (
        by_id(client, created["payment_id"], method="CARD"),
        settle(client, created["payment_id"]),
        post(client, CHARGE, trip_id=trip_id),
    ):
        assert (answer.status_code, answer.json["code"]) == (422, "amount_mismatch")
        assert answer.json["payment_id"] == created["payment_id"]
    change_trip(sandbox, trip_id, total_fare=10, currency="USD")
    answer = by_id(client, created["payment_id"], method="CARD")
    assert (answer.status_code, answer.json["code"]) == (422, "amount_mismatch")
    change_trip(sandbox, trip_id, currency="INR", status="CANCELLED")
    answer = by_id(client, created["payment_id"], method="CARD")
    assert (answer.status_code, answer.json["code"]) == (409, "trip_not_completed")
    assert payment_row(app, created["payment_id"])["status"] == "PENDING"
    assert asked(app, sandbox, created["payment_id"]) == 0


@pytest.mark.parametrize(
    ("trip", "code"),
    [
        (None, "trip_not_found"),
        ({"status": "ONGOING"}, "trip_not_completed"),
        ({"total_fare": 0}, "invalid_request"),
        ({"total_fare": "100000.01"}, "fare_too_high"),
    ],
)
def test_a_trip_that_can_not_be_charged_is_refused_at_every_door(
    app: Flask,
    client: FlaskClient,
    sandbox: Sandbox,
    history: Import,
    trip: dict[str, Any] | None,
    code: str,
) -> None:
    trip_id = a_number() if trip is None else a_trip(sandbox, **trip)
    standing = history(trip_id, method="CASH")
    for answer in (
        client.post("/v1/payments", json={"trip_id": trip_id}),
        by_id(client, standing),
        settle(client, standing),
        post(client, CHARGE, trip_id=trip_id),
    ):
        assert answer.json["code"] == code, answer.json
    (row,) = payments_of(app, trip_id=trip_id)
    assert (row["status"], row["amount"]) == ("PENDING", 5500)


@pytest.mark.parametrize("door", [by_id, settle])
def test_an_imported_payment_takes_the_fare_and_the_driver(
    app: Flask, client: FlaskClient, sandbox: Sandbox, history: Import, door: Callable[..., Any]
) -> None:
    trip_id = a_trip(sandbox)
    payment_id = history(trip_id, method="CASH", amount=999999999, currency="USD")
    answer = door(client, payment_id)
    assert answer.status_code in (200, 201), answer.json
    told = {name: answer.json[name] for name in ("amount", "amount_captured", "currency", "status")}
    assert told == {
        "amount": "104.86", "amount_captured": "104.86", "currency": "USD", "status": "SUCCESS"
    }  # fmt: skip
    assert (answer.json["rider_id"], answer.json["driver_id"]) == (101, 201)


def test_cash_of_a_trip_without_a_driver_is_not_settled(
    app: Flask, client: FlaskClient, sandbox: Sandbox, history: Import
) -> None:
    payment_id = history(a_trip(sandbox, driver_id=None), method="CASH")
    answer = settle(client, payment_id)
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["driver_id"])
    assert payment_row(app, payment_id)["status"] == "PENDING"


def test_a_trip_service_that_is_away_settles_nothing(
    client: FlaskClient, make_app: MakeApp, sandbox: Sandbox, history: Import
) -> None:
    away = make_app(trip_service_url="http://127.0.0.1:9").test_client()
    payment_id = history(a_trip(sandbox), method="CASH")
    for answer in (
        settle(away, payment_id),
        by_id(away, payment_id),
        away.post("/v1/payments", json={"trip_id": a_number(), "amount": 1}),
    ):
        assert (answer.status_code, answer.json["code"]) == (503, "trip_service_unavailable")


# A fare has a ceiling


def test_a_fare_over_the_ceiling_is_refused_and_counted(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    def alarms() -> float:
        for line in client.get("/metrics").text.splitlines():
            if line.startswith("payment_fares_too_high_total"):
                return float(line.split()[-1])
        return 0.0

    before = alarms()
    for fare in ("100000.01", 50000000000000000):
        trip_id = a_trip(sandbox, total_fare=fare)
        answer = post(client, CHARGE, trip_id=trip_id)
        assert (answer.status_code, answer.json["code"]) == (422, "fare_too_high")
        assert "trip_id" in answer.json["errors"]
        assert payments_of(app, trip_id=trip_id) == []
    assert alarms() == before + 2
    assert post(client, CHARGE, trip_id=a_trip(sandbox, total_fare=100000)).status_code == 201


def test_the_ceiling_holds_for_a_computed_fare(make_app: MakeApp, sandbox: Sandbox) -> None:
    client = make_app(base_fare=50, rate_per_km=12, max_amount=100).test_client()
    far = a_trip(sandbox, total_fare=None, distance_km=5, surge_multiplier=1)
    answer = post(client, CHARGE, trip_id=far)
    assert (answer.status_code, answer.json["code"]) == (422, "fare_too_high")
    near = a_trip(sandbox, total_fare=None, distance_km=4, surge_multiplier=1)
    assert post(client, CHARGE, trip_id=near).json["amount"] == "98.00"


def test_a_currency_may_have_a_ceiling_of_its_own(make_app: MakeApp) -> None:
    most = ByCurrency(Decimal(100), {"IQD": Decimal(1000)})
    client = make_app(max_amount=most).test_client()
    for amount, currency, status in (
        *(("100.00", "INR", 201), ("100.01", "INR", 422)),
        *(("1000.000", "IQD", 201), ("1000.001", "IQD", 422), ("100.001", "KWD", 422)),
    ):
        answer = post(client, CHARGE, **an_order(amount=amount, currency=currency))
        assert answer.status_code == status, answer.json


def test_an_imported_amount_over_the_ceiling_is_not_charged_without_a_trip(
    client: FlaskClient, history: Import
) -> None:
    for payment_id in (history(None, amount=999999999), history(None, amount=10000001)):
        answer = by_id(client, payment_id)
        assert (answer.status_code, answer.json["code"]) == (422, "fare_too_high")
