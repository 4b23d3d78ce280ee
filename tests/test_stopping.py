"""TERM: what is under way is answered, and who comes after it is refused at once, never reset."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.books import at_provider
from tests.fixtures import a_key, a_number
from tests.patience import PATIENCE
from tests.running_service import Service, running_service
from tests.sandbox_calls import arm, disarm, eventually, get
from tests.sandbox_server import Sandbox, running_sandbox

A_DAY = 24 * 3600 * 1000  # ms; longer than any test, and let go before
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox whose provider answers no charge until its faults are deleted."""
    with running_sandbox(tmp_path / "sandbox") as running:
        arm(running, "charge", "slow", times=0, ms=A_DAY)
        yield running


@pytest.fixture
def service(tmp_path: Path, postgres_url: str, redis_url: str, slow: Sandbox) -> Iterator[Service]:
    with running_service(
        tmp_path,
        database_url=postgres_url,
        REDIS_URL=redis_url,
        SANDBOX_PROVIDER_URL=slow.url,
        WEB_WORKERS="2",
        WEB_GRACEFUL_TIMEOUT="120",
        LOG_LEVEL="WARNING",
    ) as running:
        yield running


@contextlib.contextmanager
def a_charge_under_way(service: Service, slow: Sandbox) -> Iterator[list[requests.Response]]:
    """A charge that the provider has not answered; the list has its answer after the block."""
    answers: list[requests.Response] = []
    body = {"order_id": a_number(), "amount": "10.00"}
    headers = {"Idempotency-Key": a_key()}
    thread = threading.Thread(
        target=lambda: answers.append(
            service.post("/v1/payments/charge", body, headers=headers, timeout=PATIENCE)
        )
    )
    thread.start()
    eventually(lambda: any(r["status"] is None for r in get(slow, "/psp/requests")["requests"]))
    try:
        yield answers
    finally:
        disarm(slow)
        thread.join(PATIENCE)


def address(service: Service) -> tuple[str, int]:
    return "127.0.0.1", int(service.url.rsplit(":", 1)[1])


def refused(service: Service) -> bool:
    try:
        socket.create_connection(address(service), timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_charge_is_answered_and_who_comes_later_is_refused(
    service: Service, slow: Sandbox
) -> None:
    assert service.web is not None
    with a_charge_under_way(service, slow) as answers:
        service.web.send_signal(signal.SIGTERM)
        eventually(lambda: refused(service))
        assert service.web.poll() is None  # it waits for the charge
    assert service.web.wait(PATIENCE) == 0
    assert [answer.status_code for answer in answers] == [201]
    assert len(at_provider(slow, "charges", answers[0].json()["reference"])) == 1


def test_who_waited_at_the_door_is_let_in(service: Service, slow: Sandbox) -> None:
    """Workers that are stopped for a moment take nobody; TERM comes before they go on."""
    assert service.web is not None
    with a_charge_under_way(service, slow), contextlib.ExitStack() as open_ones:
        workers = service.web_workers()
        for worker in workers:
            os.kill(worker.pid, signal.SIGSTOP)
        waiting = [
            open_ones.enter_context(socket.create_connection(address(service), timeout=PATIENCE))
            for _ in range(20)
        ]
        for connection in waiting:
            connection.sendall(HEALTH)
        for worker in workers:
            os.kill(worker.pid, signal.SIGTERM)
        for worker in workers:
            os.kill(worker.pid, signal.SIGCONT)
        service.web.send_signal(signal.SIGTERM)
        heads = [connection.recv(15) for connection in waiting]
    assert heads == [b"HTTP/1.1 200 OK"] * len(waiting)
    assert service.web.wait(PATIENCE) == 0
