"""How many events a sister service is told at once, over which connections, of which payments."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from flask import Flask

from payment_service import http
from payment_service.outbox import http_sinks
from tests.books import row
from tests.fixtures import MakeApp
from tests.patience import PATIENCE
from tests.sisters import Make, apps_on, drain, key, pay, pay_and_give_back, step

TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Answer = Callable[[], None]


class Listener:
    """A sister service on plain sockets. `before_answer` is called on a connection's thread."""

    def __init__(self, before_answer: Answer) -> None:
        self.connections = 0
        self.told: list[tuple[int, int]] = []
        self.at_once: set[int] = set()
        self.overlaps: list[int] = []
        self.most = 0
        self._before_answer = before_answer
        self._lock = threading.Lock()

    def serve(self, server: socket.socket) -> None:
        """Takes connections until the socket is shut down."""
        threads = []
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                self.connections += 1
                threads.append(threading.Thread(target=self._talk, args=[connection]))
                threads[-1].start()
        http.ADAPTER.close()  # each thread waits for the next request
        for thread in threads:
            thread.join(PATIENCE)

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as file:
            while file.readline():
                headers = {}
                while (line := file.readline().strip()) != b"":
                    name, _, value = line.partition(b": ")
                    headers[name.lower()] = value.decode()
                file.read(int(headers[b"content-length"]))
                self._hear(*key(headers[b"webhook-id"]))
                connection.sendall(TAKEN)

    def _hear(self, payment: int, seq: int) -> None:
        with self._lock:
            self.told.append((payment, seq))
            if payment in self.at_once:
                self.overlaps.append(payment)
            self.at_once.add(payment)
            self.most = max(self.most, len(self.at_once))
        self._before_answer()
        with self._lock:
            self.at_once.discard(payment)


@contextmanager
def listening(before_answer: Answer = lambda: None) -> Iterator[tuple[str, Listener]]:
    """A sister service's URL, and what it hears."""
    listener = Listener(before_answer)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        thread = threading.Thread(target=listener.serve, args=[server])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", listener
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)


@pytest.fixture
def make(fresh_database: str, make_app: MakeApp) -> Make:
    return apps_on(fresh_database, make_app)


def left(app: Flask) -> int:
    found: int = row(app, "SELECT count(*) AS n FROM deliveries WHERE done_at IS NULL")["n"]
    return found


def test_payments_are_told_at_once_and_each_in_its_order(make: Make) -> None:
    """Nobody is answered until as many are on the way as may be."""
    count = http_sinks.CONCURRENCY
    together = threading.Barrier(count)
    first_round = threading.Semaphore(count)

    def wait() -> None:
        if first_round.acquire(blocking=False):
            together.wait(PATIENCE)

    with listening(wait) as (url, listener):
        app = make(order_service_url=url)
        ids = pay_and_give_back(app, count)
        drain(app)
        assert left(app) == 0
    assert listener.most == count
    assert listener.overlaps == [], "two events of one payment were on the way at once"
    for payment in ids:
        told = [seq for told_of, seq in listener.told if told_of == payment]
        assert told == sorted(told)
        assert len(told) == 3


def test_connections_last_over_many_batches(make: Make) -> None:
    with listening() as (url, listener):
        app = make(order_service_url=url)
        for _ in range(3):
            for _ in range(5):
                pay(app)
            assert step(app)["delivered"] == 5
    assert len(listener.told) == 15
    assert listener.connections <= 5


def test_a_call_that_hangs_holds_up_no_other_of_its_batch(make: Make) -> None:
    """One is answered only once all others of the batch were told."""
    others_told = threading.Event()
    turns = iter(range(10**6))
    count = 2 * http_sinks.CONCURRENCY

    def wait() -> None:
        turn = next(turns)
        if turn == 0:
            assert others_told.wait(PATIENCE)
        elif turn == count - 1:
            others_told.set()

    with listening(wait) as (url, _):
        app = make(order_service_url=url, outbox_timeout_seconds=PATIENCE)
        for _ in range(count):
            pay(app)
        assert step(app)["delivered"] == count
    assert others_told.is_set()
