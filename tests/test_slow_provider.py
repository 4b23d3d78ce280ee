"""A slow provider: nothing of the database is held, and the rest goes on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask

from payment_service.extensions import db
from payment_service.providers.contract import Operation
from tests.books import a_charged_payment, arrived, at_provider, payments_of, post, rows
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.running_service import Service, running_service
from tests.sandbox_calls import arm, disarm, eventually, get
from tests.sandbox_server import Sandbox, running_sandbox
from tests.watched_provider import watch_provider

IN_FLIGHT = 64
LOOKS = 20
A_DAY = 24 * 3600 * 1000  # ms; longer than any test, and let go before


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox of its own whose provider answers no charge until its faults are deleted."""
    with running_sandbox(tmp_path / "sandbox") as running:
        arm(running, "charge", "slow", times=0, ms=A_DAY)
        yield running


def under_way(provider: Sandbox) -> int:
    """How many requests are there that it has not answered."""
    came = get(provider, "/psp/requests")["requests"]
    return sum(request["fault"] == "slow" and request["status"] is None for request in came)


def let_go(provider: Sandbox) -> None:
    disarm(provider)


@pytest.fixture
def service(tmp_path: Path, postgres_url: str, redis_url: str, slow: Sandbox) -> Iterator[Service]:
    with running_service(
        tmp_path,
        database_url=postgres_url,
        REDIS_URL=redis_url,
        SANDBOX_PROVIDER_URL=slow.url,
        DB_POOL_SIZE="5",
        WEB_WORKERS="2",
        LOG_LEVEL="WARNING",
    ) as running:
        yield running


@pytest.mark.slow
def test_64_in_flight_and_health_answers_meanwhile(
    app: Flask, service: Service, slow: Sandbox
) -> None:
    """All finish: charged, or told at once that a process has 40 under way already."""
    orders = [a_number() for _ in range(IN_FLIGHT)]
    answers: list[requests.Response] = []

    def charge(order_id: int) -> None:
        body = {"order_id": order_id, "amount": "10.00"}
        headers = {"Idempotency-Key": a_key()}
        answers.append(service.post("/v1/payments/charge", body, headers=headers))

    chargers = [threading.Thread(target=charge, args=(order_id,)) for order_id in orders]
    for charger in chargers:
        charger.start()
    # Each is at the provider now, or refused; none of the first goes on before it is let go.
    eventually(lambda: under_way(slow) + len(answers) == IN_FLIGHT)
    waiting = under_way(slow)
    assert waiting >= 40
    for _ in range(LOOKS):
        health = service.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "UP"), health.text
    assert len(answers) == IN_FLIGHT - waiting
    let_go(slow)
    for charger in chargers:
        charger.join()

    told = Counter((a.status_code, a.json().get("code")) for a in answers)
    refused = Counter({(503, "provider_unavailable"): IN_FLIGHT - waiting})
    assert told == Counter({(201, None): waiting}) + refused
    for answer in answers:
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) >= 1
    statuses = Counter(
        row["status"] for order_id in orders for row in payments_of(app, order_id=order_id)
    )
    assert statuses == Counter({"SUCCESS": waiting}) + Counter({"FAILED": IN_FLIGHT - waiting})
    assert len(get(slow, "/psp/charges")["charges"]) == waiting


def held(app: Flask) -> int:
    """Connections that are out of the app's pools."""
    with app.app_context():
        return sum(engine.pool.checkedout() for engine in db.engines.values())


def test_a_request_holds_no_connection_while_the_provider_is_asked(
    make_app: MakeApp, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Charge, take-over, hold, capture, void, refund, and the look-ups of retries."""
    seen: list[int] = []

    def look(operation: Operation) -> None:
        seen.append(held(app))

    watch_provider(monkeypatch, look, looking_up=look)
    app = make_app(circuit_fail_max=10**6)
    client = app.test_client()
    paid = a_charged_payment(client)
    assert (
        post(client, f"/v1/payments/{paid['payment_id']}/refund", amount="1.00").status_code == 200
    )
    created = client.post("/v1/payments", json={"amount": "5.00"}).json
    assert post(client, f"/v1/payments/{created['payment_id']}/charge").status_code == 201
    for verb in ("capture", "cancel"):
        hold = post(client, "/v1/payments/charge", **an_order(capture=False)).json
        assert post(client, f"/v1/payments/{hold['payment_id']}/{verb}").status_code == 200
    key, token = a_key(), a_key()
    body = an_order(payment_token=token)
    arm(sandbox, "charge", "do_and_lose_answer", match={"token": token})
    assert post(client, "/v1/payments/charge", key, **body).status_code == 202
    assert post(client, "/v1/payments/charge", key, **body).status_code == 201
    assert seen == [0] * 9
    assert held(app) == 0


def test_a_request_holds_no_connection_while_the_trip_service_is_asked(
    make_app: MakeApp, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from payment_service import trips
    from tests.books import a_trip

    app = make_app()
    seen: list[int] = []
    fetch = trips.fetch

    def watched(trip_id: int) -> Any:
        seen.append(held(app))
        return fetch(trip_id)

    monkeypatch.setattr(trips, "fetch", watched)
    answer = post(app.test_client(), "/v1/payments/charge", trip_id=a_trip(sandbox))
    assert answer.status_code == 201
    assert seen == [0]


def test_a_pool_of_one_serves_many_slow_charges(make_app: MakeApp, sandbox: Sandbox) -> None:
    """A connection that was held over the call would make them wait for each other."""
    app = make_app(db_pool_size=1)
    token = a_key()
    arm(sandbox, "charge", "slow", match={"token": token}, times=8, ms=A_DAY)
    answers: list[Any] = []

    def charge() -> None:
        body = an_order(payment_token=token)
        answers.append(post(app.test_client(), "/v1/payments/charge", **body))

    chargers = [threading.Thread(target=charge) for _ in range(8)]
    for charger in chargers:
        charger.start()
    eventually(lambda: under_way(sandbox) == 8)
    let_go(sandbox)
    for charger in chargers:
        charger.join()
    assert Counter(answer.status_code for answer in answers) == {201: 8}


def test_the_bulkhead_refuses_at_once_and_gives_its_place_back(
    make_app: MakeApp, sandbox: Sandbox
) -> None:
    app = make_app(provider_concurrency=2)
    client, token = app.test_client(), a_key()
    arm(sandbox, "charge", "slow", match={"token": token}, times=2, ms=A_DAY)
    orders = [an_order(payment_token=token) for _ in range(2)]
    answers: list[Any] = []
    waiting = [
        threading.Thread(
            target=lambda body=body: answers.append(
                post(app.test_client(), "/v1/payments/charge", **body)
            )
        )
        for body in orders
    ]
    for charger in waiting:
        charger.start()

    def asked() -> bool:
        stand = [payments_of(app, order_id=body["order_id"]) for body in orders]
        return all(
            found and arrived(sandbox, found[0]["reference"], "charge") == 1 for found in stand
        )

    eventually(asked)
    third, key = an_order(), a_key()
    refused = post(client, "/v1/payments/charge", key, **third)
    assert (refused.status_code, refused.json["code"]) == (503, "provider_unavailable")
    (failed,) = payments_of(app, order_id=third["order_id"])
    assert (failed["status"], failed["failure_code"]) == ("FAILED", "provider_unavailable")
    assert at_provider(sandbox, "charges", failed["reference"]) == []
    assert rows(app, "SELECT 1 FROM idempotency_keys WHERE key = :key", key=key) == []
    assert post(client, "/v1/payments/charge", **an_order(method="CASH")).status_code == 201
    let_go(sandbox)
    for charger in waiting:
        charger.join()
    assert [answer.status_code for answer in answers] == [201, 201]
    assert post(client, "/v1/payments/charge", key, **third).status_code == 201
