"""A slow provider: nothing of the database is held, and the rest goes on."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask

from payment_service.extensions import HOT, db
from tests.books import a_charged_payment, arrived, at_provider, payments_of, post, rows
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.running_service import Service, running_service
from tests.sandbox_calls import arm, eventually, get
from tests.sandbox_calls import post as tell
from tests.sandbox_server import Sandbox, running_sandbox

IN_FLIGHT = 64


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox of its own whose provider takes 2 s."""
    with running_sandbox(tmp_path / "sandbox") as running:
        assert tell(running, "/sandbox/latency", profile="fixed", ms=2000).ok
        yield running


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


def watch_health(service: Service, stopping: threading.Event) -> list[float]:
    """Seconds of each answer of GET /health until told to stop, and of ten at least."""
    seconds: list[float] = []
    while not stopping.is_set() or len(seconds) < 10:
        started = time.perf_counter()
        answer = service.get("/health")
        seconds.append(time.perf_counter() - started)
        assert (answer.status_code, answer.json()["status"]) == (200, "UP"), answer.text
    return seconds


def test_64_in_flight_and_health_answers_meanwhile(
    app: Flask, service: Service, slow: Sandbox, record_property: Any
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
    # Each is at the provider now, or refused.
    eventually(lambda: len(get(slow, "/psp/requests")["requests"]) + len(answers) >= IN_FLIGHT)
    stopping = threading.Event()
    watched: list[float] = []
    watcher = threading.Thread(target=lambda: watched.extend(watch_health(service, stopping)))
    watcher.start()
    for charger in chargers:
        charger.join(timeout=30)
    stopping.set()
    watcher.join()

    told = Counter((a.status_code, a.json().get("code")) for a in answers)
    assert sum(told.values()) == IN_FLIGHT
    assert set(told) <= {(201, None), (503, "provider_unavailable")}, told
    charged = told[201, None]
    assert charged >= 40, told
    for answer in answers:
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) >= 1
    statuses = Counter(
        row["status"] for order_id in orders for row in payments_of(app, order_id=order_id)
    )
    assert statuses == Counter({"SUCCESS": charged, "FAILED": IN_FLIGHT - charged})
    assert len(get(slow, "/psp/charges")["charges"]) == charged
    record_property("charged", charged)
    record_property("health_median_ms", round(statistics.median(watched) * 1000, 1))
    record_property("health_slowest_ms", round(max(watched) * 1000, 1))
    print(
        f"{charged} charged, {IN_FLIGHT - charged} refused by the bulkhead; {len(watched)} looks at"
        f" health, median {statistics.median(watched) * 1000:.1f} ms,"
        f" slowest {max(watched) * 1000:.1f} ms"
    )
    assert statistics.median(watched) < 0.2
    assert sorted(watched)[int(len(watched) * 0.95)] < 0.2
    assert max(watched) < 1.0  # slack for a machine with other work


def held(app: Flask) -> int:
    """Connections that are out of the app's two pools."""
    with app.app_context():
        return sum(db.engines[bind].pool.checkedout() for bind in (None, HOT))


class Watched:
    """What a request held while its provider was at work."""

    def __init__(self, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held: list[int] = []
        provider = app.extensions["providers"].get("sandbox")
        ask, look = provider._ask, provider._lookup

        def watched(inner: Any) -> Any:
            def call(operation: Any) -> Any:
                self.held.append(held(app))
                return inner(operation)

            return call

        monkeypatch.setattr(provider, "_ask", watched(ask))
        monkeypatch.setattr(provider, "_lookup", watched(look))


def test_a_request_holds_no_connection_while_the_provider_is_asked(
    make_app: MakeApp, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Charge, take-over, hold, capture, void, refund, and the look-ups of retries."""
    app = make_app(circuit_fail_max=10**6)
    client, watched = app.test_client(), Watched(app, monkeypatch)
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
    assert watched.held == [0] * 9
    assert held(app) == 0


def test_a_request_holds_no_connection_while_the_trip_service_is_asked(
    make_app: MakeApp, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from payment_service import trips
    from tests.books import a_trip

    app = make_app()
    seen: list[int] = []
    fetch = trips._fetch

    def watched(trip_id: int) -> Any:
        seen.append(held(app))
        return fetch(trip_id)

    monkeypatch.setattr(trips, "_fetch", watched)
    answer = post(app.test_client(), "/v1/payments/charge", trip_id=a_trip(sandbox))
    assert answer.status_code == 201
    assert seen == [0]


def test_a_pool_of_one_serves_many_slow_charges(make_app: MakeApp, sandbox: Sandbox) -> None:
    """A connection that was held over the call would make them wait for each other."""
    app = make_app(db_pool_size=1, db_pool_timeout=1)
    token = a_key()
    arm(sandbox, "charge", "slow", match={"token": token}, times=8, ms=1500)
    answers: list[Any] = []

    def charge() -> None:
        body = an_order(payment_token=token)
        answers.append(post(app.test_client(), "/v1/payments/charge", **body))

    chargers = [threading.Thread(target=charge) for _ in range(8)]
    for charger in chargers:
        charger.start()
    for charger in chargers:
        charger.join()
    assert Counter(answer.status_code for answer in answers) == {201: 8}


def test_the_bulkhead_refuses_at_once_and_gives_its_place_back(
    make_app: MakeApp, sandbox: Sandbox
) -> None:
    app = make_app(provider_concurrency=2)
    client, token = app.test_client(), a_key()
    arm(sandbox, "charge", "slow", match={"token": token}, times=2, ms=60_000)
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
    assert requests.delete(f"{sandbox.url}/sandbox/faults", timeout=5).ok  # lets the slow ones go
    for charger in waiting:
        charger.join()
    assert [answer.status_code for answer in answers] == [201, 201]
    assert post(client, "/v1/payments/charge", key, **third).status_code == 201
