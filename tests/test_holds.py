"""Holds: authorize, capture in whole and part, void, expiry; and payers who must act."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from payment_service.extensions import db
from payment_service.providers.contract import Operation, Result
from payment_service.services import expiry, holds
from payment_service.services.moves import unattended
from tests.books import execute
from tests.clocks import is_open, look_up
from tests.fixtures import MakeApp, a_key, an_order
from tests.patience import CLOCKLESS
from tests.sandbox_calls import arm, decide, eventually, get
from tests.sandbox_server import Sandbox

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def app(make_app: MakeApp, database_of_module: str) -> Flask:
    """In whose database no other hold's time is over."""
    return make_app(**CLOCKLESS, database_url=database_of_module)


@pytest.fixture
def send(client: FlaskClient) -> Call:
    def run(path: str, body: dict[str, Any] | None = None, key: str | None = None) -> Any:
        return client.post(path, json=body or {}, headers={"Idempotency-Key": key or a_key()})

    return run


@pytest.fixture
def hold(send: Call) -> Call:
    """An AUTHORIZED payment of 100.00 INR."""

    def run(**changes: Any) -> dict[str, Any]:
        answer = send("/v1/payments/charge", an_order(capture=False, **changes))
        assert (answer.status_code, answer.json["status"]) == (201, "AUTHORIZED"), answer.json
        return dict(answer.json)

    return run


def at_provider(sandbox: Sandbox, payment: dict[str, Any]) -> Any:
    reference = payment["transactions"][0]["reference"]
    return get(sandbox, f"/psp/charges/{reference}")


def over(app: Flask, payment_id: int) -> None:
    """The time of the payment's hold is over."""
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(
            text("UPDATE payments SET expires_at = now() - interval '1 s' WHERE payment_id = :id"),
            {"id": payment_id},
        )


def run(app: Flask, once: Callable[[], dict[str, int]]) -> dict[str, int]:
    with app.app_context():
        return once()


def test_a_hold_takes_nothing_and_says_until_when(hold: Call) -> None:
    payment = hold()
    assert (payment["amount_captured"], payment["captured_at"]) == ("0.00", None)
    assert payment["expires_at"] > payment["created_at"]


@pytest.mark.parametrize(("amount", "captured"), [(None, "100.00"), ("60.25", "60.25")])
def test_a_capture_takes_all_or_a_part(
    hold: Call, send: Call, sandbox: Sandbox, amount: str | None, captured: str
) -> None:
    payment = hold()
    path = f"/v1/payments/{payment['payment_id']}/capture"
    taken = send(path, {"amount": amount} if amount else {})
    assert (taken.status_code, taken.json["status"]) == (200, "SUCCESS")
    assert (taken.json["amount"], taken.json["amount_captured"]) == ("100.00", captured)
    assert at_provider(sandbox, payment)["captured"] == captured
    assert send(path).json["code"] == "illegal_transition"


def test_more_than_is_held_is_refused(hold: Call, send: Call, sandbox: Sandbox) -> None:
    payment = hold()
    refused = send(f"/v1/payments/{payment['payment_id']}/capture", {"amount": "100.01"})
    assert (refused.status_code, refused.json["authorized"]) == (422, "100.00")
    assert at_provider(sandbox, payment)["state"] == "authorized"


def test_a_declined_capture_leaves_the_hold(hold: Call, send: Call) -> None:
    payment = hold(payment_token="tok_capture_decline")
    path = f"/v1/payments/{payment['payment_id']}/capture"
    key = a_key()
    declined = send(path, key=key)
    assert (declined.status_code, declined.json["status"]) == (402, "AUTHORIZED")
    assert declined.json["failure_code"] == "provider_declined"
    assert send(path, key=key).data == declined.data
    voided = send(f"/v1/payments/{payment['payment_id']}/cancel")
    assert (voided.status_code, voided.json["status"]) == (200, "CANCELLED")


def test_a_cancel_voids_the_hold_and_frees_the_order(
    hold: Call, send: Call, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = hold()
    path = f"/v1/payments/{payment['payment_id']}/cancel"
    keyless = client.post(path)
    assert (keyless.status_code, keyless.json["code"]) == (400, "idempotency_key_required")
    key = a_key()
    voided = send(path, key=key)
    assert (voided.status_code, voided.json["status"]) == (200, "CANCELLED")
    assert at_provider(sandbox, payment)["state"] == "voided"
    assert send(path, key=key).data == voided.data
    assert client.delete(f"/v1/payments/{payment['payment_id']}").status_code == 200
    again = send("/v1/payments/charge", an_order(order_id=payment["order_id"]))
    assert again.status_code == 201


def test_one_open_move_at_a_time(hold: Call, send: Call, sandbox: Sandbox) -> None:
    token = f"card-{a_key()}"
    payment = hold(payment_token=token)
    arm(sandbox, "capture", "do_and_lose_answer", match={"token": token})
    path = f"/v1/payments/{payment['payment_id']}"
    assert send(f"{path}/capture").status_code == 202
    for other in ("capture", "cancel"):
        refused = send(f"{path}/{other}")
        assert (refused.status_code, refused.json["code"]) == (409, "operation_in_progress")


def test_a_hold_expires_by_a_void(app: Flask, hold: Call, client: FlaskClient, sandbox: Sandbox):
    payment = hold()
    over(app, payment["payment_id"])
    assert run(app, expiry.run_once)["ended"] >= 1
    ended = client.get(f"/v1/payments/{payment['payment_id']}").json
    assert ended["status"] == "EXPIRED"
    assert at_provider(sandbox, payment)["state"] == "voided"


def test_expiry_goes_on_at_once_while_there_is_more(
    app: Flask, hold: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    while run(app, expiry.run_once)["ended"]:
        pass  # what the tests above left
    monkeypatch.setattr(expiry, "BATCH", 2)
    for _ in range(3):
        over(app, hold()["payment_id"])
    assert run(app, expiry.run_once) == {"ended": 2, "more": 1}
    assert run(app, expiry.run_once) == {"ended": 1, "more": 0}


def test_one_that_goes_wrong_keeps_no_other_waiting(
    app: Flask, hold: Call, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    while run(app, expiry.run_once)["ended"]:
        pass  # what the tests above left
    payments = [hold(), hold()]
    provider = app.extensions["providers"].get("sandbox")
    ask, wrong = provider.ask, payments[0]["transactions"][0]["reference"]

    def stumbles(operation: Operation) -> Result:
        if operation.charge_reference == wrong:
            raise RuntimeError("a mistake of ours")
        answer: Result = ask(operation)
        return answer

    monkeypatch.setattr(provider, "ask", stumbles)
    for payment in payments:
        over(app, payment["payment_id"])
    assert run(app, expiry.run_once)["ended"] == 1
    found = [client.get(f"/v1/payments/{one['payment_id']}").json["status"] for one in payments]
    assert found == ["PROCESSING", "EXPIRED"]


def test_those_that_can_not_even_be_begun_make_way(
    app: Flask, hold: Call, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are the oldest and fill the batch, but not for ever; and once it is mended they end."""
    while run(app, expiry.run_once)["ended"]:
        pass  # what the tests above left
    payments = [hold() for _ in range(3)]
    for payment in payments:
        over(app, payment["payment_id"])
    ids = [payment["payment_id"] for payment in payments]
    begin = holds.begin_on_hold

    def stumbles(*args: Any, payment: Any, **kwargs: Any) -> Any:
        if payment["payment_id"] in ids[:2]:
            raise RuntimeError("a mistake of ours")
        return begin(*args, payment=payment, **kwargs)

    with monkeypatch.context() as wrong:
        wrong.setattr(expiry, "BATCH", 2)
        wrong.setattr(unattended, "MAKES_WAY_SECONDS", 3600.0)
        wrong.setattr(holds, "begin_on_hold", stumbles)
        assert run(app, expiry.run_once) == {"ended": 0, "more": 1}
        assert run(app, expiry.run_once) == {"ended": 1, "more": 0}
        wrong.setattr(holds, "begin_on_hold", begin)
        assert run(app, expiry.run_once) == {"ended": 0, "more": 0}
    monkeypatch.setattr(unattended, "MAKES_WAY_SECONDS", 0.0)
    assert run(app, expiry.run_once)["ended"] == 2
    found = [client.get(f"/v1/payments/{payment_id}").json["status"] for payment_id in ids]
    assert found == ["EXPIRED"] * 3


def test_what_is_being_voided_takes_no_other_s_place(
    app: Flask, hold: Call, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its status: the void's outcome ends it."""
    while run(app, expiry.run_once)["ended"]:
        pass  # what the tests above left
    token = f"card-{a_key()}"
    first = hold(payment_token=token)["payment_id"]
    arm(sandbox, "void", "do_and_lose_answer", match={"token": token})
    over(app, first)
    assert run(app, expiry.run_once)["ended"] == 1
    query = "UPDATE payments SET status = :status WHERE payment_id = :id"
    execute(app, query, status="AUTHORIZED", id=first)
    monkeypatch.setattr(expiry, "BATCH", 1)
    over(app, hold()["payment_id"])
    assert run(app, expiry.run_once)["ended"] == 1
    execute(app, query, status="PROCESSING", id=first)


def test_a_hold_that_can_not_be_voided_stands_and_is_not_hammered(
    app: Flask, hold: Call, client: FlaskClient
) -> None:
    payment = hold(payment_token="tok_void_decline")
    over(app, payment["payment_id"])
    for _ in range(3):
        run(app, expiry.run_once)
    standing = client.get(f"/v1/payments/{payment['payment_id']}").json
    assert standing["status"] == "AUTHORIZED"
    assert len(standing["transactions"]) == 2


def test_a_capture_that_was_refused_too_late_leaves_a_hold_whose_time_is_over(
    app: Flask, hold: Call, send: Call, client: FlaskClient, sandbox: Sandbox
) -> None:
    """It is released at the next beat, and not an hour later as after a void in vain."""
    held = hold(payment_token="tok_capture_decline")
    over(app, held["payment_id"])
    assert send(f"/v1/payments/{held['payment_id']}/capture").status_code == 402
    run(app, expiry.run_once)
    _until(app, client, held["payment_id"], "EXPIRED")
    assert at_provider(sandbox, held)["state"] == "voided"


def test_a_payer_who_must_act_and_does(
    app: Flask, send: Call, client: FlaskClient, sandbox: Sandbox
):
    key, order = a_key(), an_order(payment_token="tok_requires_action")
    waiting = send("/v1/payments/charge", order, key)
    assert (waiting.status_code, waiting.json["status"]) == (202, "REQUIRES_ACTION")
    assert waiting.json["next_action"]["type"] == "redirect"
    reference = waiting.json["transactions"][0]["reference"]
    assert decide(sandbox, reference, "approve").ok
    settled = _until(app, client, waiting.json["payment_id"], "SUCCESS")
    assert settled["amount_captured"] == "100.00"
    assert send("/v1/payments/charge", order, key).status_code == 201


def test_a_payer_who_never_acts_does_not_block_the_order(
    app: Flask, send: Call, client: FlaskClient, sandbox: Sandbox
) -> None:
    key, order = a_key(), an_order(payment_token="tok_requires_action")
    waiting = send("/v1/payments/charge", order, key).json
    over(app, waiting["payment_id"])
    run(app, expiry.run_once)
    ended = _until(app, client, waiting["payment_id"], "EXPIRED")
    assert at_provider(sandbox, waiting)["state"] == "declined"
    assert {t["status"] for t in ended["transactions"]} <= {"SUCCESS", "FAILED"}
    assert send("/v1/payments/charge", order, key).status_code == 402
    assert send("/v1/payments/charge", an_order(order_id=order["order_id"])).status_code == 201


def test_a_payer_who_acts_at_the_last_moment_has_paid(
    app: Flask, send: Call, client: FlaskClient, sandbox: Sandbox
) -> None:
    waiting = send("/v1/payments/charge", an_order(payment_token="tok_requires_action")).json
    reference = waiting["transactions"][0]["reference"]
    assert decide(sandbox, reference, "approve").ok
    over(app, waiting["payment_id"])
    run(app, expiry.run_once)
    _until(app, client, waiting["payment_id"], "SUCCESS")
    assert at_provider(sandbox, waiting)["captured"] == "100.00"


def test_cash_can_not_be_held(send: Call) -> None:
    refused = send("/v1/payments/charge", an_order(method="CASH", capture=False))
    assert (refused.status_code, refused.json["errors"].keys()) == (422, {"capture": []}.keys())


def _until(app: Flask, client: FlaskClient, payment_id: int, status: str) -> Any:
    """Runs look-ups until nothing of the payment is open; it stands there then."""

    def settled() -> bool:
        look_up(app, payment_id)
        return not is_open(app, payment_id)

    eventually(settled)
    payment = client.get(f"/v1/payments/{payment_id}").json
    assert payment["status"] == status
    return payment
