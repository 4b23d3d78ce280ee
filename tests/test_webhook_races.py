"""Webhooks beside what else tells the outcome: whichever comes first, there is one, told once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payment_service.providers.contract import Operation, Result
from payment_service.services import audit, expiry, webhooks
from tests.books import execute, payments_of, post, row, rows
from tests.fixtures import IN_PRODUCTION, MakeApp, a_key, an_order
from tests.hooked import an_app, an_event, events_of, pending, signature, signed_body, tell
from tests.patience import PATIENCE
from tests.sandbox_calls import arm, decide, disarm, eventually
from tests.sandbox_server import ROOT, Sandbox


@pytest.fixture(scope="module")
def house(make_app: MakeApp, sandbox: Sandbox, database_of_module: str) -> Flask:
    return an_app(make_app, sandbox, database_url=database_of_module)


@pytest.fixture
def client(house: Flask) -> FlaskClient:
    return house.test_client()


def standing(client: FlaskClient, payment_id: int) -> tuple[str, dict[str, int]]:
    """The status, and how often each event was told."""
    told = events_of(client, payment_id)
    with client.application.app_context():
        assert audit.verify(payment_id=payment_id).broken == ()
    status: str = client.get(f"/v1/payments/{payment_id}").json["status"]
    return status, {what: told.count(what) for what in told}


STRONGEST = (
    ("APPROVED", "SUCCESS"),
    ("DECLINED", "FAILED"),
    ("REQUIRES_ACTION", "REQUIRES_ACTION"),
    ("PENDING", "PROCESSING"),
)


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    said=st.lists(st.sampled_from([outcome for outcome, _ in STRONGEST]), min_size=1, max_size=4),
    data=st.data(),
)
def test_in_whatever_order_they_come_the_end_is_the_same(
    house: Flask, said: list[str], data: st.DataObject
) -> None:
    client = house.test_client()
    payment = pending(client)
    events = [an_event(f"{payment['reference']}-1", outcome) for outcome in said]
    repeated = data.draw(st.lists(st.sampled_from(events), max_size=3))
    for event in data.draw(st.permutations([*events, *repeated])):
        assert tell(client, event).status_code == 202
    status, told = standing(client, payment["payment_id"])
    assert status == next(status for outcome, status in STRONGEST if outcome in said)
    assert told.get("payment.succeeded", 0) == int("APPROVED" in said)
    assert max(told.values()) == 1


def test_one_that_comes_before_the_charges_answer(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    token, key = f"card-{a_key()}", a_key()
    order = an_order(provider="signed", payment_token=token)
    arm(sandbox, "charge", "do_and_hang", match={"token": token})
    answers: list[Any] = []
    charging = threading.Thread(
        target=lambda: answers.append(
            post(house.test_client(), "/v1/payments/charge", key, **order)
        )
    )
    charging.start()
    eventually(lambda: payments_of(house, order_id=order["order_id"]))
    [payment] = payments_of(house, order_id=order["order_id"])
    tell(client, an_event(f"{payment['reference']}-1"))
    disarm(sandbox)
    charging.join(PATIENCE)
    assert answers[0].status_code in (201, 202)
    again = post(client, "/v1/payments/charge", key, **order)
    assert (again.status_code, again.json["status"]) == (201, "SUCCESS")
    status, told = standing(client, payment["payment_id"])
    assert (status, told["payment.succeeded"]) == ("SUCCESS", 1)


def test_one_that_comes_before_the_page_takes_no_page_away(
    house: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that the payer must act, and not where."""
    provider = house.extensions["providers"].get("signed")
    ask = provider.ask

    def then_it_calls(operation: Operation) -> Result:
        answer: Result = ask(operation)
        told = tell(house.test_client(), an_event(operation.reference, "REQUIRES_ACTION"))
        assert told.status_code == 202
        return answer

    monkeypatch.setattr(provider, "ask", then_it_calls)
    payment = pending(client, payment_token="tok_requires_action")
    assert payment["next_action"]["type"] == "redirect"
    found = client.get(f"/v1/payments/{payment['payment_id']}").json
    assert found["next_action"] == payment["next_action"]
    status, told = standing(client, payment["payment_id"])
    assert (status, told["payment.requires_action"]) == ("REQUIRES_ACTION", 1)


def test_one_that_comes_during_a_retrys_look_up(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    key, order = a_key(), an_order(provider="signed", payment_token="tok_pending")
    payment = post(client, "/v1/payments/charge", key, **order).json
    reference = f"{payment['reference']}-1"
    decide(sandbox, reference, "approve")
    arm(sandbox, "lookup", "lookup_slow", match={"reference": reference}, ms=600)
    answers: list[Any] = []
    retrying = threading.Thread(
        target=lambda: answers.append(
            post(house.test_client(), "/v1/payments/charge", key, **order)
        )
    )
    retrying.start()
    tell(client, an_event(reference))
    retrying.join(PATIENCE)
    assert (answers[0].status_code, answers[0].json["status"]) == (201, "SUCCESS")
    assert post(client, "/v1/payments/charge", key, **order).data == answers[0].data
    assert standing(client, payment["payment_id"])[1]["payment.succeeded"] == 1


def test_paid_after_it_expired(house: Flask, client: FlaskClient) -> None:
    payment = pending(client, payment_token="tok_requires_action")
    expire(house, payment["payment_id"])
    assert standing(client, payment["payment_id"])[0] == "EXPIRED"
    tell(client, an_event(f"{payment['reference']}-1"))
    assert standing(client, payment["payment_id"])[0] == "SUCCESS"


def expire(app: Flask, payment_id: int) -> None:
    execute(app, "UPDATE payments SET expires_at = now() WHERE payment_id = :id", id=payment_id)
    with app.app_context():
        while expiry.run_once()["ended"]:
            pass


def test_paid_with_another_live_payment_by_then_is_given_back(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = pending(client)
    reference = f"{payment['reference']}-1"
    tell(client, an_event(reference, "DECLINED", why="do_not_honor"))
    assert standing(client, payment["payment_id"])[0] == "FAILED"
    second = post(client, "/v1/payments/charge", **an_order(order_id=payment["order_id"]))
    assert second.status_code == 201
    decide(sandbox, reference, "approve")
    tell(client, an_event(reference))
    assert standing(client, payment["payment_id"])[0] == "SUCCESS"
    with house.app_context():
        while expiry.run_once()["ended"]:
            pass
    assert standing(client, payment["payment_id"])[0] == "REFUNDED"
    assert standing(client, second.json["payment_id"])[0] == "SUCCESS"


KILLED = """
import os, signal
import pytest
from payment_service import config, create_app
from payment_service.services import webhooks
from tests.hooked import register
register(type("Sandbox", (), {{"url": {url!r}}}), pytest.MonkeyPatch())
app = create_app(config.load())
webhooks.process = lambda *args, **more: os.kill(os.getpid(), signal.SIGKILL)
app.test_client().post("/v1/webhooks/signed", data={body!r}, headers={{"X-Signature": {sign!r}}})
"""


@pytest.mark.slow  # a process of its own
def test_killed_between_its_two_transactions_the_worker_takes_it_in(
    house: Flask, client: FlaskClient, sandbox: Sandbox, database_of_module: str
) -> None:
    payment = pending(client)
    event = an_event(f"{payment['reference']}-1")
    body = signed_body(event)
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(url=sandbox.url, body=body, sign=signature(body))],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": database_of_module,
            "ENCRYPTION_KEYS": IN_PRODUCTION["encryption_keys"],
            "AUTH_MODE": "off",
        },
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert standing(client, payment["payment_id"])[0] == "PROCESSING"
    query = "SELECT status, due_at IS NOT NULL AS due FROM webhooks WHERE event_key = :key"
    assert rows(house, query, key=event["key"]) == [{"status": "RECEIVED", "due": True}]
    execute(house, "UPDATE webhooks SET due_at = now() WHERE event_key = :key", key=event["key"])
    with house.app_context():
        assert webhooks.run_once()["webhooks"] == 1
        assert webhooks.run_once()["webhooks"] == 0
    status, told = standing(client, payment["payment_id"])
    assert (status, told["payment.succeeded"]) == ("SUCCESS", 1)
    assert row(house, query, key=event["key"]) == {"status": "APPLIED", "due": False}
