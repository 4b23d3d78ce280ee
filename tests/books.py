"""What stands in the database and what stands at the provider, to be held against each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from flask import Flask
from sqlalchemy import text

from payment_service.extensions import db
from tests.fixtures import a_key, a_number
from tests.patience import PATIENCE
from tests.sandbox_calls import get
from tests.sandbox_server import Sandbox


def rows(app: Flask, query: str, **values: Any) -> list[dict[str, Any]]:
    """The rows of a query, over the app's database."""
    with app.app_context(), db.engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query), values).mappings()]


def row(app: Flask, query: str, **values: Any) -> dict[str, Any]:
    """The one row of a query."""
    (found,) = rows(app, query, **values)
    return found


def execute(app: Flask, statement: str, **values: Any) -> int:
    """Runs and commits a statement; how many rows it met."""
    with app.app_context(), db.engine.begin() as connection:
        return connection.execute(text(statement), values).rowcount


def payments_of(app: Flask, **column: int) -> list[dict[str, Any]]:
    """All payments of a trip or order, oldest first."""
    ((name, value),) = column.items()
    return rows(
        app, f"SELECT * FROM payments WHERE {name} = :value ORDER BY payment_id", value=value
    )


def payment_row(app: Flask, payment_id: int) -> dict[str, Any]:
    return row(app, "SELECT * FROM payments WHERE payment_id = :id", id=payment_id)


def at_provider(sandbox: Sandbox, noun: str, reference: str) -> list[dict[str, Any]]:
    """The provider's `charges` or `refunds` under a payment's reference."""
    return [found for found in get(sandbox, f"/psp/{noun}")[noun] if under(found, reference)]


def arrived(sandbox: Sandbox, reference: str, operation: str) -> int:
    """How often a request about this payment came in at the provider, whatever became of it."""
    came = get(sandbox, "/psp/requests")["requests"]
    return sum(under(found, reference) and found["operation"] == operation for found in came)


def under(found: dict[str, Any], reference: str) -> bool:
    return str(found["reference"]).rpartition("-")[0] == reference


def a_trip(sandbox: Sandbox, **fields: Any) -> int:
    """A COMPLETED trip of its own at the trip service."""
    trip_id = a_number()
    trip = {
        "status": "COMPLETED",
        "rider_id": 101,
        "driver_id": 201,
        "distance_km": 5.43,
        "base_fare": 65.16,
        "surge_multiplier": 1.0,
        "total_fare": 104.86,
    }
    change_trip(sandbox, trip_id, **trip | fields)
    return trip_id


def change_trip(sandbox: Sandbox, trip_id: int, **fields: Any) -> None:
    url = f"{sandbox.url}/sandbox/trips/{trip_id}"
    assert requests.put(url, json=fields, timeout=PATIENCE).ok


def post(client: Any, path: str, key: str | None = None, **body: Any) -> Any:
    """A POST to the app in this process under a key, one of its own unless given."""
    return client.post(path, json=body, headers={"Idempotency-Key": key or a_key()})


def a_charged_payment(client: Any, **changes: Any) -> dict[str, Any]:
    """A captured payment of 100.00 INR by card for an order of its own."""
    body = {"order_id": a_number(), "amount": "100.00", "method": "CARD"} | changes
    answer = post(client, "/v1/payments/charge", **body)
    assert answer.status_code == 201, answer.json
    charged: dict[str, Any] = answer.json
    return charged


def a_pending_payment(client: Any, **changes: Any) -> dict[str, Any]:
    """A payment that was created and not charged."""
    body = {"order_id": a_number(), "amount": "100.00", "method": "CARD"} | changes
    answer = client.post("/v1/payments", json=body)
    assert answer.status_code == 201, answer.json
    created: dict[str, Any] = answer.json
    return created


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """The results of all calls, each on a thread of its own, let go together."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        gate.wait(timeout=PATIENCE)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
