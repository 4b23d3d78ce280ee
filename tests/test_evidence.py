"""Evidence that comes after we had said no: it wins, is counted, and the trip is paid once."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient

from payment_service.services import expiry, resolution
from payment_service.telemetry import metrics
from tests.books import rows
from tests.fixtures import MakeApp, a_key, an_order
from tests.sandbox_server import Sandbox


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    return make_app(
        provider_timeout_seconds=0.5,
        provider_send_seconds=0.3,
        provider_settling_seconds={"sandbox": 0.2},
        resolution_first_lookup_seconds=0.1,
        circuit_fail_max=10_000,
    )


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def _given_up(client: FlaskClient, sandbox: Sandbox, order: dict[str, Any], operation: str) -> Any:
    """A charge or hold that arrives 2.5 s late, and is FAILED, not_received, before that."""
    fault = {
        "operation": operation,
        "fault": "arrive_late",
        "ms": 2500,
        "match": {"token": order["payment_token"]},
    }
    requests.post(f"{sandbox.url}/sandbox/faults", json=fault, timeout=5)
    headers = {"Idempotency-Key": a_key()}
    late = client.post("/v1/payments/charge", json=order, headers=headers)
    assert late.status_code == 202
    return _poll(client, late.json["payment_id"], "FAILED")


def _poll(client: FlaskClient, payment_id: int, status: str, *, number: int = 1) -> Any:
    deadline = time.monotonic() + 10
    while True:
        with client.application.app_context():
            resolution.resolve(payment_id=payment_id, number=number)
        payment = client.get(f"/v1/payments/{payment_id}").json
        if payment["status"] == status:
            return payment
        assert time.monotonic() < deadline, payment
        time.sleep(0.05)


def _contradictions() -> float:
    return float(metrics.CONTRADICTED._value.get())


def test_a_charge_that_arrives_after_all_is_a_success(
    client: FlaskClient, sandbox: Sandbox
) -> None:
    before = _contradictions()
    failed = _given_up(client, sandbox, an_order(payment_token=f"card-{a_key()}"), "charge")
    assert failed["failure_code"] == "not_received"
    paid = _poll(client, failed["payment_id"], "SUCCESS")
    assert (paid["amount_captured"], paid["failure_code"]) == ("100.00", None)
    assert _contradictions() == before + 1


def test_a_refund_that_arrives_after_all_is_counted_and_told(
    client: FlaskClient, sandbox: Sandbox
) -> None:
    before, token = _contradictions(), f"card-{a_key()}"
    order = an_order(payment_token=token)
    headers = {"Idempotency-Key": a_key()}
    paid = client.post("/v1/payments/charge", json=order, headers=headers).json
    fault = {"operation": "refund", "fault": "arrive_late", "ms": 2500, "match": {"token": token}}
    requests.post(f"{sandbox.url}/sandbox/faults", json=fault, timeout=5)
    path = f"/v1/payments/{paid['payment_id']}"
    assert client.post(f"{path}/refund", headers=headers).status_code == 202
    assert _until_failed(client, path, headers).json["failure_code"] == "not_received"
    _poll(client, paid["payment_id"], "REFUNDED", number=2)
    assert _contradictions() == before + 1
    query = "SELECT body FROM events WHERE payment_id = :id ORDER BY seq"
    told = [
        json.loads(row["body"]) for row in rows(client.application, query, id=paid["payment_id"])
    ]
    marked = [news["type"] for news in told if news["data"].get("contradicted")]
    assert marked == ["refund.succeeded.v1"]


def _until_failed(client: FlaskClient, path: str, headers: dict[str, str]) -> Any:
    deadline = time.monotonic() + 10
    while (told := client.post(f"{path}/refund", headers=headers)).status_code == 202:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert told.status_code == 402
    return told


@pytest.mark.parametrize(("operation", "ended"), [("charge", "REFUNDED"), ("authorize", "EXPIRED")])
def test_with_another_live_payment_the_late_one_is_given_back_by_itself(
    app: Flask, client: FlaskClient, sandbox: Sandbox, operation: str, ended: str
) -> None:
    order = an_order(payment_token=f"card-{a_key()}", capture=operation == "charge")
    failed = _given_up(client, sandbox, order, operation)
    headers = {"Idempotency-Key": a_key()}
    fresh = an_order(order_id=order["order_id"])
    second = client.post("/v1/payments/charge", json=fresh, headers=headers)
    assert second.status_code == 201
    status = {"charge": "SUCCESS", "authorize": "AUTHORIZED"}[operation]
    _poll(client, failed["payment_id"], status)
    with app.app_context():
        expiry.run_once()
    late = client.get(f"/v1/payments/{failed['payment_id']}").json
    assert late["status"] == ended
    of_order = client.get(f"/v1/payments/order/{order['order_id']}").json
    assert of_order["payment_id"] == second.json["payment_id"]
    assert _kept_at_provider(sandbox, [late, second.json]) == 10000


def _kept_at_provider(sandbox: Sandbox, payments: list[dict[str, Any]]) -> int:
    ours = {t["reference"] for payment in payments for t in payment["transactions"]}
    charges = requests.get(f"{sandbox.url}/psp/charges", timeout=5).json()["charges"]
    return sum(
        charge["captured_minor"] - charge["refunded_minor"]
        for charge in charges
        if charge["reference"] in ours
    )
