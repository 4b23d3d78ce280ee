"""Connections to Redis: by a name, by several addresses, inside of TLS; and none is waited for."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy.engine import make_url

from payment_service import embedded
from tests.certificates import a_certificate
from tests.fixtures import MakeApp
from tests.patience import PATIENCE


@contextlib.contextmanager
def inside_of_tls(port: int, certificate: Path, key: Path) -> Iterator[int]:
    """A port at which the server at `port` is met inside of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def copy(source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                to.sendall(part)
        for one in (source, to):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def meet(connection: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(connection, server_side=True) as outer,
            socket.create_connection(("127.0.0.1", port)) as inner,
        ):
            back = threading.Thread(target=copy, args=[inner, outer], daemon=True)
            back.start()
            copy(outer, inner)
            back.join()

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=meet, args=[server.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=[server], daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.slow
@pytest.mark.usefixtures("redis_is_not_waited_for")
def test_a_name_of_redis_that_is_not_resolved_is_not_waited_for(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a hit, and by whoever else asks Redis for something."""
    over, resolved, resolve = threading.Event(), threading.Event(), socket.getaddrinfo

    def slow(host: str, *rest: Any) -> Any:
        if host == "slow.example":
            over.wait(PATIENCE)
            resolved.set()
        return resolve(host, *rest)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    client = make_app(rate_limit="3 per 2 day", redis_url="redis://slow.example").test_client()
    assert client.get("/v1/no/such/page").headers["RateLimit-Remaining"] == "2"
    assert client.get("/v1/payments/providers").status_code == 200
    assert client.get("/health/ready").json["dependencies"]["redis"] == "DOWN"
    assert not resolved.is_set()
    over.set()


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_redis_is_reached_by_the_first_address_that_answers(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """With TLS too, whose certificate is for the name and not for an address."""
    resolve = socket.getaddrinfo

    def several(host: str, *rest: Any) -> Any:
        hosts = ("::1", "127.0.0.1") if host == "redis.example" else (host,)
        return [found for one in hosts for found in resolve(one, *rest)]

    monkeypatch.setattr(socket, "getaddrinfo", several)
    server = embedded.start_redis(tmp_path)
    own = make_url(server.url)
    try:
        with contextlib.ExitStack() as stack:
            options, port = "", own.port
            if scheme == "rediss":
                certificate, key = a_certificate(tmp_path, "DNS:redis.example")
                port = stack.enter_context(inside_of_tls(own.port, certificate, key))
                options = f"?ssl_ca_certs={certificate}"
            url = f"{scheme}://:{own.password}@redis.example:{port}/0{options}"
            client = make_app(rate_limit="3 per 2 day", redis_url=url).test_client()
            assert client.get("/v1/no/such/page").headers["RateLimit-Remaining"] == "2"
            assert client.get("/health/ready").json["dependencies"]["redis"] == "UP"
            asked: Any = redis.Redis.from_url(server.url)
            assert asked.dbsize() == 1
    finally:
        server.stop()
