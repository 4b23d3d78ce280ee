"""Readiness and the broker: it is asked seldom, shortly, by one at a time, and only degrades."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from payment_service.services import health
from tests.fixtures import MakeApp
from tests.patience import PATIENCE
from tests.sandbox_server import reserved_port

Talk = Callable[[socket.socket], None]


def hold(connection: socket.socket) -> None:
    """Says nothing for as long as the other side stays; closed at its goodbye."""
    while connection.recv(65536):
        pass


def babble(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 50)


def hang_up(connection: socket.socket) -> None:
    pass


class Odd:
    """A listener that is no broker. `met` counts connections, `left` those that are over."""

    def __init__(self, talk: Talk) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._talk = talk
        self.url = f"amqp://guest:guest@127.0.0.1:{self._server.getsockname()[1]}/%2F"
        self.met = 0
        self.left = threading.Semaphore(0)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.met += 1
            threading.Thread(target=self._meet, args=(connection,), daemon=True).start()

    def _meet(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(PATIENCE)
            self._talk(connection)
        self.left.release()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@contextmanager
def a_listener(talk: Talk) -> Iterator[Odd]:
    odd = Odd(talk)
    try:
        yield odd
    finally:
        odd.close()


def ready(make_app: MakeApp, url: str | None) -> Any:
    return make_app(rabbitmq_url=url).test_client().get("/health/ready")


def test_without_a_broker_it_is_off(make_app: MakeApp) -> None:
    answer = ready(make_app, None)
    assert (answer.status_code, answer.json["status"]) == (200, "UP")
    assert answer.json["dependencies"] == {"database": "UP", "redis": "UP", "rabbitmq": "OFF"}


def test_a_broker_that_is_not_there_only_degrades(make_app: MakeApp) -> None:
    with reserved_port() as port:
        url = f"amqp://guest:guest@127.0.0.1:{port.getsockname()[1]}/%2F"
        answer = ready(make_app, url)
        assert (answer.status_code, answer.json["status"]) == (200, "DEGRADED")
        assert answer.json["dependencies"]["rabbitmq"] == "DOWN"
        health_too = make_app(rabbitmq_url=url).test_client().get("/health")
        assert (health_too.status_code, health_too.json["status"]) == (200, "DEGRADED")


@pytest.mark.parametrize("talk", [hold, babble, hang_up])
def test_what_is_no_broker_is_let_go_of(make_app: MakeApp, talk: Talk) -> None:
    with a_listener(talk) as odd:
        assert ready(make_app, odd.url).json["dependencies"]["rabbitmq"] == "DOWN"
        assert odd.left.acquire(timeout=PATIENCE)
        assert odd.met == 1


def test_many_probes_make_one_connection(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "BROKER_KNOWN_SECONDS", PATIENCE)
    with a_listener(hold) as odd:
        app = make_app(rabbitmq_url=odd.url)
        meet, told = threading.Barrier(10, timeout=PATIENCE), []

        def probe() -> None:
            meet.wait()
            told.append(app.test_client().get("/health/ready").json["dependencies"]["rabbitmq"])

        threads = [threading.Thread(target=probe) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert told == ["DOWN"] * 10
        assert odd.met == 1


def test_nobody_waits_for_a_look_when_something_is_known(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "BROKER_KNOWN_SECONDS", 0.0)
    monkeypatch.setattr(health, "BROKER_PATIENCE", PATIENCE)
    met, go_on = threading.Event(), threading.Event()

    def talk(connection: socket.socket) -> None:
        met.set()
        go_on.wait(PATIENCE)

    with a_listener(talk) as odd:
        client = make_app(rabbitmq_url=odd.url).test_client()
        go_on.set()
        assert client.get("/health/ready").json["dependencies"]["rabbitmq"] == "DOWN"
        met.clear()
        go_on.clear()
        looking = threading.Thread(target=lambda: ready(make_app, odd.url))
        looking.start()
        assert met.wait(PATIENCE)
        assert client.get("/health/ready").json["dependencies"]["rabbitmq"] == "DOWN"
        assert looking.is_alive()
        go_on.set()
        looking.join()


def test_a_silent_database_does_not_make_the_process_look_dead(make_app: MakeApp) -> None:
    """Kubernetes would kill it, and all others with it, and help nobody."""
    silent = Odd(hold)
    address = silent.url.partition("@")[2].partition("/")[0]
    client = make_app(database_url=f"postgresql://u:p@{address}/d").test_client()

    for _ in range(5):  # the first one looks, and waits for as long as connecting may take
        answer = client.get("/health")
        assert (answer.status_code, answer.json["database_status"]) == (200, "DOWN")
        assert silent.met == 1
    assert client.get("/health/ready").status_code == 503
    assert client.get("/metrics").status_code == 200
    assert "payment_service_watched 0.0" in client.get("/metrics").text
