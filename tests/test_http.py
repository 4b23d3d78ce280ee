"""Outbound calls: a time-out bounds all of a call, and a short body is no answer."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from payment_service import http
from tests.certificates import a_certificate
from tests.patience import PATIENCE
from tests.sandbox_server import reserved_port

Talk = Callable[[socket.socket], None]


DEADLINE = 1.0
"""Seconds. Each server below would answer well, several seconds later."""


_OVER = threading.Event()


def pause(seconds: float) -> None:
    """Of a server. Raises OSError when the test has seen enough."""
    if _OVER.wait(seconds):
        raise OSError


@contextmanager
def a_server(talk: Talk, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that does `talk` with each connection, on a thread of its own."""
    _OVER.clear()
    threads = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threads.append(threading.Thread(target=speak, args=[connection]))
                    threads[-1].start()

        def speak(connection: socket.socket) -> None:
            wrap = tls.wrap_socket if tls else None
            with (
                suppress(OSError),
                wrap(connection, server_side=True) if wrap else connection as own,
            ):
                talk(own)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            _OVER.set()
            server.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(PATIENCE)


def read_request(connection: socket.socket) -> bytes:
    """A request without a body; empty if there comes none any more."""
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        if not (part := connection.recv(65536)):
            break
        text += part
    return text


def drip(connection: socket.socket, text: bytes) -> None:
    """Sends byte by byte."""
    for byte in text:
        connection.sendall(bytes([byte]))
        pause(0.1)


EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def dripping(at_once: bytes, dripped: bytes, rest: bytes = b"") -> Talk:
    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(at_once)
        drip(connection, dripped)
        connection.sendall(rest)

    return talk


def late(connection: socket.socket) -> None:
    read_request(connection)
    pause(PATIENCE)
    connection.sendall(EMPTY)


def interim(connection: socket.socket) -> None:
    """Sends interim answers as fast as they are taken."""
    read_request(connection)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        connection.sendall(CONTINUE * 100)
    connection.sendall(EMPTY)


LARGE = bytes(30_000_000)


def deaf(connection: socket.socket) -> None:
    """It takes some of it now and then."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    taken = 0
    while taken < len(LARGE):
        pause(0.1 if taken < 6_400_000 else 0)
        taken += len(connection.recv(65536))
    connection.sendall(EMPTY)


HOLDING: dict[str, Talk] = {
    "no answer": late,
    "status": dripping(b"", EMPTY),
    "headers": dripping(b"HTTP/1.1 200 OK\r\n", b"Content-Length: 0\r\nX-A: 1234567890\r\n\r\n"),
    "interim answers": dripping(b"", CONTINUE * 3, EMPTY),
    "interim answers at once": interim,
    "body": dripping(EMPTY.replace(b"0\r\n\r\n", b"50\r\n\r\n"), bytes(50)),
    "chunks": dripping(CHUNKED, b"1\r\nx\r\n" * 9, b"0\r\n\r\n"),
    "trailers": dripping(CHUNKED + b"0\r\n", b"X-A: 1\r\n" * 9, b"\r\n"),
    "body of a redirect": dripping(
        b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 50\r\n\r\n", bytes(50)
    ),
}


@pytest.mark.parametrize("how", HOLDING)
def test_whoever_holds_a_call_is_silent_at_the_deadline(how: str) -> None:
    with a_server(HOLDING[how]) as url, pytest.raises(http.Silence):
        http.call("POST", url, timeout=DEADLINE)


def test_whoever_takes_a_large_request_slowly_is_silent_at_the_deadline() -> None:
    with a_server(deaf) as url, pytest.raises(http.Silence):
        http.call("POST", url, timeout=DEADLINE, data=LARGE)


def test_the_time_of_a_call_before_is_not_this_ones() -> None:
    def first_well_then_deaf(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        deaf(connection)

    with a_server(first_well_then_deaf) as url:
        http.call("GET", url, timeout=PATIENCE)
        with pytest.raises(http.Silence):
            http.call("POST", url, timeout=DEADLINE, data=LARGE)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1, and its key."""
    return a_certificate(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")


@pytest.fixture
def tls(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side of TLS that our calls believe."""
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate[0]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.mark.parametrize("how", ["status", "headers", "interim answers at once", "body"])
def test_it_is_so_inside_of_tls(tls: ssl.SSLContext, how: str) -> None:
    with a_server(HOLDING[how], tls) as url, pytest.raises(http.Silence):
        http.call("POST", url, timeout=DEADLINE)


def test_a_large_request_is_bounded_inside_of_tls(tls: ssl.SSLContext) -> None:
    with a_server(deaf, tls) as url, pytest.raises(http.Silence):
        http.call("POST", url, timeout=DEADLINE, data=LARGE)


def test_tls_that_is_not_agreed_on_in_time_is_unreachable(tls: ssl.SSLContext) -> None:
    def agree_late(connection: socket.socket) -> None:
        pause(PATIENCE)
        with tls.wrap_socket(connection, server_side=True) as inside:
            read_request(inside)
            inside.sendall(EMPTY)

    with a_server(agree_late) as url, pytest.raises(http.Unreachable):
        http.call("POST", url.replace("http:", "https:"), timeout=DEADLINE)


def test_a_certificate_that_is_not_believed_is_unreachable(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    received = []

    def serve(connection: socket.socket) -> None:
        received.append(read_request(connection))

    with a_server(serve, tls) as url, pytest.raises(http.Unreachable):
        http.call("POST", url, timeout=PATIENCE)
    assert received == []


def test_a_connection_that_is_not_taken_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as stack:
        for _ in range(3):  # what the kernel would take by itself
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        with pytest.raises(http.Unreachable):
            http.call("POST", f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=DEADLINE)


def test_a_name_that_is_not_resolved_in_time_is_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over, resolved, resolve = threading.Event(), threading.Event(), socket.getaddrinfo

    def slow(host: str, *rest: Any) -> Any:
        over.wait(PATIENCE)
        resolved.set()
        return resolve("127.0.0.1", *rest)

    with a_server(dripping(EMPTY, b"")) as url:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        with pytest.raises(http.Unreachable):
            http.call("POST", url.replace("127.0.0.1", "slow.example"), timeout=DEADLINE)
        assert not resolved.is_set()
        over.set()


def test_a_name_of_nobody_is_unreachable() -> None:
    with pytest.raises(http.Unreachable):
        http.call("POST", "http://nobody.invalid/", timeout=PATIENCE)


def test_a_connection_serves_again() -> None:
    taken = []

    def serve(connection: socket.socket) -> None:
        taken.append(connection)
        while read_request(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with a_server(serve) as url:
        for _ in range(3):
            assert http.call("GET", url, timeout=PATIENCE).json() == {}
        assert len(taken) == 1
        http.ADAPTER.close()  # the server waits for the next request


def test_nothing_leads_a_call_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a proxy of the environment nor a redirect; and a cookie is not sent back."""
    asked = []

    def serve(connection: socket.socket) -> None:
        while text := read_request(connection):
            asked.append(text)
            connection.sendall(
                b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nSet-Cookie: a=b\r\n"
                b"Content-Length: 0\r\n\r\n"
            )

    with a_server(serve) as url, reserved_port() as nobody:
        for name in ("HTTP_PROXY", "ALL_PROXY"):
            proxy = f"http://127.0.0.1:{nobody.getsockname()[1]}"
            monkeypatch.setenv(name, proxy)
            monkeypatch.setenv(name.lower(), proxy)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for _ in range(2):
            assert http.call("GET", url, timeout=PATIENCE).status == 302
        http.ADAPTER.close()
    assert len(asked) == 2
    assert not any(b"elsewhere" in text or b"ookie" in text for text in asked)


def test_a_connection_serves_again_inside_of_tls(tls: ssl.SSLContext) -> None:
    taken = []

    def serve(connection: socket.socket) -> None:
        taken.append(connection)
        while read_request(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with a_server(serve, tls) as url:
        for _ in range(3):
            assert http.call("GET", url, timeout=PATIENCE).json() == {}
        assert len(taken) == 1
        http.ADAPTER.close()


def test_what_follows_an_interim_answer_is_not_the_next_answer() -> None:
    turns = iter((b"old", b"new"))

    def serve(connection: socket.socket) -> None:
        body = next(turns)
        while read_request(connection):
            if body == b"old":
                connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                time.sleep(0.1)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + body)

    with a_server(serve) as url:
        with pytest.raises(http.Silence):
            http.call("GET", url, timeout=PATIENCE)
        time.sleep(0.2)
        assert http.call("GET", url, timeout=PATIENCE).body == b"new"
        http.ADAPTER.close()


def test_an_answer_without_end_is_silence() -> None:
    def pour(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n")
        for _ in range(10_000):
            connection.sendall(bytes(65536))

    with a_server(pour) as url, pytest.raises(http.Silence):
        http.call("GET", url, timeout=PATIENCE)


def test_a_login_in_a_url_is_not_told() -> None:
    with reserved_port() as nobody, pytest.raises(http.Unreachable) as error:
        host = f"127.0.0.1:{nobody.getsockname()[1]}"
        http.call("GET", f"http://us:hunter2@{host}/a", timeout=PATIENCE)
    assert str(error.value) == f"GET http://{host}/a: no connection"


def test_a_short_body_is_silence() -> None:
    def half(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"half":')

    with a_server(half) as url, pytest.raises(http.Silence):
        http.call("GET", url, timeout=PATIENCE)


def test_a_chunked_body_is_read_whole() -> None:
    def chunks(connection: socket.socket) -> None:
        read_request(connection)
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
