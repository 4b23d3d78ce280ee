"""The public data set: imported, counted, and its trips charged at their fares."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from payment_service import seeding
from payment_service.extensions import db
from tests.books import at_provider, payments_of, post, row, rows
from tests.fixtures import MakeApp
from tests.histories import MOST
from tests.sandbox_calls import get
from tests.sandbox_server import Sandbox, running_sandbox

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PAYMENTS, TRIPS = DATA / "rhfd_payments.csv", DATA / "rhfd_trips.csv"
TAKEN_OVER, NEW = (32, 55, 119, 171), (189, 202)

if not PAYMENTS.is_file():
    pytest.skip(
        "the public data set is not beside the checkout (../shared/data)", allow_module_level=True
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox that knows the data set's trips."""
    assert TRIPS.is_file(), f"{TRIPS} must be there"
    directory = tmp_path_factory.mktemp("world")
    with running_sandbox(directory, SANDBOX_TRIPS=str(TRIPS)) as running:
        yield running


@pytest.fixture
def history(make_app: MakeApp, fresh_database: str, world: Sandbox) -> Flask:
    """An app on a database of its own into which the payments were imported."""
    app = make_app(
        database_url=fresh_database, trip_service_url=world.url, sandbox_provider_url=world.url
    )
    report = load(app)
    assert (report.read, report.loaded, report.already_there, report.bad) == (350, 350, 0, 0)
    return app


def load(app: Flask) -> seeding.ImportReport:
    with app.app_context():
        return seeding.import_payments(
            db.engine,
            path=PAYMENTS,
            currency="INR",
            max_amount=MOST,
            timezone="UTC",
            progress=False,
        )


def trips() -> dict[int, dict[str, str]]:
    with TRIPS.open(newline="") as file:
        return {int(trip["trip_id"]): trip for trip in csv.DictReader(file)}


def test_the_rows_and_their_sum(history: Flask) -> None:
    stand = rows(history, "SELECT * FROM payments")
    assert len(stand) == 350
    assert sum(payment["amount"] for payment in stand) == 3_744_405
    assert Counter(payment["status"] for payment in stand) == {
        "FAILED": 145,
        "PENDING": 134,
        "SUCCESS": 71,
    }
    assert Counter(payment["method"] for payment in stand) == {
        "CASH": 94,
        "WALLET": 87,
        "CARD": 86,
        "UPI": 83,
    }
    for payment in stand:
        paid = payment["amount"] if payment["status"] == "SUCCESS" else 0
        assert (payment["captured"], payment["provider"]) == (paid, "import")


def test_every_row_is_as_it_was_in_the_file(history: Flask) -> None:
    client = history.test_client()
    with PAYMENTS.open(newline="") as file:
        wanted = {int(line["payment_id"]): line for line in csv.DictReader(file)}
    shown: list[dict[str, Any]] = []
    path = "/v1/payments?total=true"
    body = client.get(path).json
    while True:
        assert body["total"] == 350
        shown += body["payments"]
        if not body["has_more"]:
            break
        body = client.get(f"{path}&cursor={body['next_cursor']}").json
    assert len(shown) == 350
    for payment in shown:
        line = wanted.pop(payment["payment_id"])
        assert payment["amount"] == f"{float(line['amount']):.2f}"
        assert (payment["trip_id"], payment["method"]) == (int(line["trip_id"]), line["method"])
        assert (payment["status"], payment["reference"]) == (line["status"], line["reference"])
        moment = datetime.fromisoformat(line["created_at"]).replace(tzinfo=UTC)
        assert datetime.fromisoformat(payment["created_at"]) == moment
    assert wanted == {}


def test_a_second_import_adds_none(history: Flask) -> None:
    before = rows(history, "SELECT * FROM payments ORDER BY payment_id")
    report = load(history)
    assert (report.loaded, report.already_there) == (0, 350)
    assert rows(history, "SELECT * FROM payments ORDER BY payment_id") == before


def test_unpaid_trips_are_charged_at_exactly_their_fare(history: Flask, world: Sandbox) -> None:
    client, known = history.test_client(), trips()
    imported = {trip_id: payments_of(history, trip_id=trip_id) for trip_id in TAKEN_OVER + NEW}
    for trip_id in TAKEN_OVER + NEW:
        trip = known[trip_id]
        answer = post(client, "/v1/payments/charge", trip_id=trip_id, method="CARD")
        paid = answer.json
        fare = f"{float(trip['total_fare']):.2f}"
        assert (answer.status_code, paid["amount"], paid["status"]) == (201, fare, "SUCCESS"), paid
        assert (paid["rider_id"], paid["driver_id"]) == (
            int(trip["rider_id"]),
            int(trip["driver_id"]),
        )
        (booked,) = at_provider(world, "charges", paid["reference"])
        assert (booked["amount"], booked["currency"]) == (fare, "INR")
        pending = [p for p in imported[trip_id] if p["status"] == "PENDING"]
        if trip_id in TAKEN_OVER:
            assert paid["payment_id"] == pending[0]["payment_id"]
            assert paid["reference"] == pending[0]["reference"]
        else:
            assert pending == []
            assert paid["payment_id"] > 350
        assert client.get(f"/v1/payments/trip/{trip_id}").json["payment_id"] == paid["payment_id"]
    count = row(history, "SELECT count(*) AS payments FROM payments")
    assert count["payments"] == 350 + len(NEW)


def test_a_paid_trip_and_a_cancelled_one(history: Flask, world: Sandbox) -> None:
    client, known = history.test_client(), trips()
    before = len(get(world, "/psp/charges")["charges"])
    paid = post(client, "/v1/payments/charge", trip_id=7)
    assert (paid.status_code, paid.json["code"]) == (409, "payment_exists")
    standing = client.get("/v1/payments/trip/7").json
    assert paid.json["payment_id"] == standing["payment_id"]
    assert standing["status"] == "SUCCESS"
    cancelled = next(trip_id for trip_id, trip in known.items() if trip["status"] == "CANCELLED")
    refused = post(client, "/v1/payments/charge", trip_id=cancelled)
    assert (refused.status_code, refused.json["code"]) == (409, "trip_not_completed")
    assert (refused.json["trip_id"], refused.json["trip_status"]) == (cancelled, "CANCELLED")
    assert len(get(world, "/psp/charges")["charges"]) == before
    assert row(history, "SELECT count(*) AS payments FROM payments")["payments"] == 350
