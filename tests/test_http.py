"""Outbound calls: a time-out bounds the whole answer, and a short body is no answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from payment_service import http
from tests.patience import PATIENCE
from tests.sandbox_server import reserved_port

Talk = Callable[[socket.socket], None]


@contextmanager
def a_server(talk: Talk) -> Iterator[str]:
    """One connection is accepted, and what `talk` does with it is all it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                with suppress(OSError):  # the client had enough
                    talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join(PATIENCE)


def test_a_dripping_body_is_silence_at_the_deadline() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(100):  # all of it in 5 s at least, so only the deadline makes it silence
            connection.sendall(b"x")
            time.sleep(0.05)

    with a_server(drip) as url, pytest.raises(http.Silence):
        http.call("GET", url, timeout=0.5)


def test_a_short_body_is_silence() -> None:
    def half(connection: socket.socket) -> None:
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"half":')

    with a_server(half) as url, pytest.raises(http.Silence):
        http.call("GET", url, timeout=PATIENCE)


def test_a_chunked_body_is_read_whole() -> None:
    def chunks(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (b'{"a"', b": 1}"):
            connection.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            time.sleep(0.05)
        connection.sendall(b"0\r\n\r\n")

    with a_server(chunks) as url:
        assert http.call("GET", url, timeout=PATIENCE).json() == {"a": 1}


def test_nobody_there_is_unreachable() -> None:
    with reserved_port() as nobody, pytest.raises(http.Unreachable):
        http.call("GET", f"http://127.0.0.1:{nobody.getsockname()[1]}/", timeout=PATIENCE)
