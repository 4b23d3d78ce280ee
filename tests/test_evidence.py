"""Evidence that comes after we had said no: it wins, is counted, and the trip is paid once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payment_service.services import audit, expiry
from payment_service.services.moves import resolution
from payment_service.telemetry import metrics
from tests.books import rows
from tests.clocks import an_hour_later
from tests.fixtures import a_key, an_order
from tests.sandbox_calls import arm, get, post
from tests.sandbox_server import Sandbox


@pytest.fixture(scope="module")
def app(clockless_app: Flask) -> Flask:
    return clockless_app


LATE = 24 * 3600 * 1000  # ms; not before it is told to


def _given_up(client: FlaskClient, sandbox: Sandbox, order: dict[str, Any], operation: str) -> Any:
    """A charge or hold that is kept by the network until it is FAILED, not_received."""
    match = {"token": order["payment_token"]}
    arm(sandbox, operation, "arrive_late", ms=LATE, match=match)
    headers = {"Idempotency-Key": a_key()}
    late = client.post("/v1/payments/charge", json=order, headers=headers)
    assert late.status_code == 202
    return _given_up_at_last(client, late.json["payment_id"], "FAILED")


def _given_up_at_last(client: FlaskClient, payment_id: int, status: str, number: int = 1) -> Any:
    for _ in range(2):
        an_hour_later(client.application, payment_id)
        payment = _looked_up(client, payment_id, number)
    assert payment["status"] == status
    assert payment["transactions"][number - 1]["failure_code"] == "not_received"
    return payment


def _looked_up(client: FlaskClient, payment_id: int, number: int = 1) -> Any:
    with client.application.app_context():
        resolution.resolve(payment_id=payment_id, number=number)
    return client.get(f"/v1/payments/{payment_id}").json


def _arrives(sandbox: Sandbox, payment: dict[str, Any], number: int = 1) -> None:
    """The network delivers the payment's request after all."""
    reference = payment["transactions"][number - 1]["reference"]
    assert post(sandbox, f"/sandbox/late/{reference}").json() == {"done": 1}


def _contradictions() -> float:
    return float(metrics.CONTRADICTED._value.get())


def test_a_charge_that_arrives_after_all_is_a_success(
    client: FlaskClient, sandbox: Sandbox
) -> None:
    before = _contradictions()
    failed = _given_up(client, sandbox, an_order(payment_token=f"card-{a_key()}"), "charge")
    assert failed["failure_code"] == "not_received"
    _arrives(sandbox, failed)
    paid = _looked_up(client, failed["payment_id"])
    assert (paid["status"], paid["amount_captured"]) == ("SUCCESS", "100.00")
    assert paid["failure_code"] is None
    assert _contradictions() == before + 1
    kept = "SELECT seq, at FROM contradictions WHERE payment_id = :id"
    last = "SELECT seq, occurred_at AS at FROM events WHERE payment_id = :id ORDER BY seq DESC"
    told = rows(client.application, last, id=failed["payment_id"])
    assert rows(client.application, kept, id=failed["payment_id"]) == told[:1]


def test_a_refund_that_arrives_after_all_is_counted_and_told(
    client: FlaskClient, sandbox: Sandbox
) -> None:
    before, token = _contradictions(), f"card-{a_key()}"
    order = an_order(payment_token=token)
    headers = {"Idempotency-Key": a_key()}
    paid = client.post("/v1/payments/charge", json=order, headers=headers).json
    arm(sandbox, "refund", "arrive_late", ms=LATE, match={"token": token})
    path = f"/v1/payments/{paid['payment_id']}"
    assert client.post(f"{path}/refund", headers=headers).status_code == 202
    failed = _given_up_at_last(client, paid["payment_id"], "SUCCESS", number=2)
    told = client.post(f"{path}/refund", headers=headers)
    assert (told.status_code, told.json["failure_code"]) == (402, "not_received")
    _arrives(sandbox, failed, number=2)
    assert _looked_up(client, paid["payment_id"], number=2)["status"] == "REFUNDED"
    assert _contradictions() == before + 1
    query = "SELECT body FROM events WHERE payment_id = :id ORDER BY seq"
    told = [
        json.loads(row["body"]) for row in rows(client.application, query, id=paid["payment_id"])
    ]
    marked = [news["type"] for news in told if news["data"].get("contradicted")]
    assert marked == ["refund.succeeded.v1"]


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
    _arrives(sandbox, failed)
    status = {"charge": "SUCCESS", "authorize": "AUTHORIZED"}[operation]
    assert _looked_up(client, failed["payment_id"])["status"] == status
    with app.app_context():
        assert audit.verify(payment_id=failed["payment_id"]).broken == ()
        while expiry.run_once()["ended"]:
            pass  # other tests left some behind
    late = client.get(f"/v1/payments/{failed['payment_id']}").json
    assert late["status"] == ended
    of_order = client.get(f"/v1/payments/order/{order['order_id']}").json
    assert of_order["payment_id"] == second.json["payment_id"]
    assert _kept_at_provider(sandbox, [late, second.json]) == 10000


def _kept_at_provider(sandbox: Sandbox, payments: list[dict[str, Any]]) -> int:
    ours = {t["reference"] for payment in payments for t in payment["transactions"]}
    charges = get(sandbox, "/psp/charges")["charges"]
    return sum(
        charge["captured_minor"] - charge["refunded_minor"]
        for charge in charges
        if charge["reference"] in ours
    )


def test_a_capture_that_arrives_while_a_void_is_under_way_is_counted_too(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    """Its caller was told that the hold stands, whatever has begun since."""
    token = f"card-{a_key()}"
    held = client.post(
        "/v1/payments/charge",
        json=an_order(payment_token=token, capture=False),
        headers={"Idempotency-Key": a_key()},
    ).json
    path = f"/v1/payments/{held['payment_id']}"
    for operation, verb in (("capture", "capture"), ("void", "cancel")):
        arm(sandbox, operation, "arrive_late", ms=LATE, match={"token": token})
        asked = client.post(f"{path}/{verb}", headers={"Idempotency-Key": a_key()})
        assert asked.status_code == 202, asked.json
        if verb == "capture":
            _given_up_at_last(client, held["payment_id"], "AUTHORIZED", number=2)
    before = _contradictions()
    _arrives(sandbox, client.get(path).json, number=2)
    paid = _looked_up(client, held["payment_id"], number=2)
    assert (paid["status"], paid["amount_captured"]) == ("SUCCESS", "100.00")
    assert _contradictions() == before + 1
    (event,) = rows(
        app,
        "SELECT body FROM events WHERE payment_id = :id AND type = 'payment.succeeded'",
        id=held["payment_id"],
    )
    assert json.loads(event["body"])["data"]["contradicted"] is True
