"""A provider that is down: quick noes, nothing charged, others go on, and it closes by itself."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payment_service.providers import registry
from payment_service.providers.sandbox import SandboxProvider
from tests.clocks import impatient
from tests.fixtures import MakeApp, a_key, an_order
from tests.patience import CLOCKLESS
from tests.sandbox_calls import arm, disarm, get
from tests.sandbox_server import Sandbox, running_sandbox

FAIL_MAX = 5
AT_ONCE = 8


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox of this test's own, to be killed."""
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


def make(make_app: MakeApp, provider: Sandbox, **changes: Any) -> Flask:
    """An app whose circuit stays open until it is told that its time is over."""
    given = CLOCKLESS | {"circuit_fail_max": FAIL_MAX, "circuit_reset_seconds": 3600.0}
    return make_app(sandbox_provider_url=provider.url, **given | changes)


def reset_time_is_over(app: Flask) -> None:
    app.extensions["providers"].get("sandbox").circuit.breaker.reset_timeout = 0


def charge(client: FlaskClient, **changes: Any) -> Any:
    headers = {"Idempotency-Key": a_key()}
    return client.post("/v1/payments/charge", json=an_order(**changes), headers=headers)


def circuit_state(client: FlaskClient) -> float:
    text = client.get("/metrics").text
    name = 'provider_circuit_breaker_state{provider="sandbox"} '
    return float(next(line for line in text.splitlines() if line.startswith(name)).split()[-1])


def test_down_under_load_and_back(make_app: MakeApp, provider: Sandbox) -> None:
    app = make(make_app, provider)
    client = app.test_client()
    arm(provider, "charge", "accept_no_answer", times=0)
    with impatient(app), ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: charge(app.test_client()), range(60)))
    codes = [answer.status_code for answer in answers]
    assert set(codes) <= {202, 503}
    # Those that were on their way when it opened had been sent; nobody was sent after them.
    assert FAIL_MAX <= codes.count(202) < FAIL_MAX + AT_ONCE
    assert circuit_state(client) == 1
    refused = charge(client)
    assert (refused.status_code, refused.json["code"]) == (503, "provider_unavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    assert 'provider_circuit_refused_total{provider="sandbox"} ' in client.get("/metrics").text
    assert charge(client, method="CASH").status_code == 201
    assert get(provider, "/psp/charges")["charges"] == []

    disarm(provider)
    assert charge(client).status_code == 503
    reset_time_is_over(app)
    assert charge(client).status_code == 201
    assert circuit_state(client) == 0
    assert charge(client).status_code == 201


def test_refused_connections_open_it_too_and_look_ups_go_past_it(
    make_app: MakeApp, provider: Sandbox
) -> None:
    app = make(make_app, provider)
    client = app.test_client()
    key, order = a_key(), an_order(payment_token="card-lost")
    arm(provider, "charge", "do_and_lose_answer", match={"token": "card-lost"})
    headers = {"Idempotency-Key": key}
    lost = client.post("/v1/payments/charge", json=order, headers=headers)
    assert lost.status_code == 202
    provider.kill()
    assert {charge(client).status_code for _ in range(FAIL_MAX + 2)} == {503}
    assert circuit_state(client) == 1
    provider.start()
    found = client.post("/v1/payments/charge", json=order, headers=headers)
    assert found.status_code == 201
    assert circuit_state(client) == 1


def test_the_next_in_line_is_asked_only_if_the_first_surely_was_not(
    make_app: MakeApp, provider: Sandbox, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Spare(SandboxProvider):
        name = "spare"

    monkeypatch.setitem(
        registry.BUILDERS, "spare", lambda settings, limits: Spare(sandbox.url, limits)
    )
    app = make(make_app, provider, provider_routes="CARD=sandbox>spare,CASH=cash")
    client = app.test_client()
    arm(provider, "charge", "do_and_hang", match={"token": "card-hung"})
    with impatient(app):
        assert charge(client, payment_token="card-hung").json["provider"] == "sandbox"
    provider.kill()
    key, order = a_key(), an_order()
    headers = {"Idempotency-Key": key}
    taken = client.post("/v1/payments/charge", json=order, headers=headers)
    assert (taken.status_code, taken.json["provider"]) == (201, "spare")
    first, second = taken.json["transactions"]
    assert (first["status"], second["status"]) == ("FAILED", "SUCCESS")
    assert first["reference"] != second["reference"]
    again = client.post("/v1/payments/charge", json=order, headers=headers)
    assert again.data == taken.data
    refund = client.post(
        f"/v1/payments/{taken.json['payment_id']}/refund", headers={"Idempotency-Key": a_key()}
    )
    assert (refund.status_code, refund.json["status"]) == (200, "REFUNDED")
