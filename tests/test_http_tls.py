"""Outbound calls with a client's certificate: who is refused has sent nothing."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from payment_service import http
from payment_service.http import Tls
from tests.certificates import Authority
from tests.patience import PATIENCE
from tests.test_http import EMPTY, Talk, a_server, read_request

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@contextmanager
def demanding(authority: Authority, talk: Talk, version: ssl.TLSVersion) -> Iterator[str]:
    """A server that talks to those only whom the authority vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.vouch_for("server"))
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version
    open_: list[socket.socket] = []

    def talk_and_remember(connection: socket.socket) -> None:
        open_.append(connection)
        talk(connection)

    with a_server(talk_and_remember, context) as url:
        yield url
        for connection in open_:  # those that the client keeps
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Peers:
    """Answers each request with the name in the certificate of who sent it."""

    def __init__(self) -> None:
        self.connections = 0
        self.received: list[bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        self.connections += 1
        certificate = connection.getpeercert()
        assert certificate
        name = dict(pair[0] for pair in certificate["subject"])["commonName"]
        while text := read_request(connection):
            self.received.append(text)
            body = f'"{name}"'.encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            connection.sendall(head + body)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_client_has_kept_connections_of_its_own(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    peers, one, two = Peers(), authority.tls("one"), authority.tls("two")
    with demanding(authority, peers, version) as url:
        for whom, name in ((one, "one"), (two, "two"), (one, "one"), (two, "two")):
            assert http.call("GET", url, timeout=PATIENCE, tls=whom).json() == name
            assert http.get(url, timeout=PATIENCE, tls=whom).json() == name
    assert peers.connections == 2


def refused(authority: Authority, other: Authority) -> dict[str, tuple[Tls, str]]:
    none = Tls(ca=str(authority.ca))
    strangers = replace(other.tls("theirs"), ca=str(authority.ca))
    return {
        "no certificate": (none, "our certificate was refused"),
        "one of another CA": (strangers, "our certificate was refused (unknown ca)"),
        "one that is over": (
            authority.tls("late", lasts=timedelta(hours=-1)),
            "our certificate was refused (certificate expired)",
        ),
        "their CA is another": (
            replace(authority.tls("true"), ca=str(other.ca)),
            "its certificate is not believed",
        ),
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "who", ["no certificate", "one of another CA", "one that is over", "their CA is another"]
)
def test_who_is_refused_has_sent_nothing(
    authority: Authority, tmp_path: Path, version: ssl.TLSVersion, who: str
) -> None:
    peers = Peers()
    tls, why = refused(authority, Authority(tmp_path, "another"))[who]
    with demanding(authority, peers, version) as url:
        for body in (None, {"a": "b"}, {"a": "b" * 300_000}):
            with pytest.raises(http.Unreachable) as raised:
                http.call("POST", url, timeout=PATIENCE, tls=tls, body=body)
            if version is ssl.TLSVersion.TLSv1_3 or who != "no certificate":
                assert why in str(raised.value)
    assert peers.received == []


def test_a_certificate_that_is_refused_once_the_answer_began_may_have_paid(
    authority: Authority,
) -> None:
    """Whatever the other side says against us then, it has read the request."""

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(EMPTY.replace(b"0\r\n", b"50\r\n") + b"half")

    class Late(ssl.SSLError):
        reason = "SSLV3_ALERT_CERTIFICATE_REVOKED"

    with (
        demanding(authority, talk, ssl.TLSVersion.TLSv1_3) as url,
        pytest.MonkeyPatch.context() as m,
    ):
        real = ssl.SSLSocket.recv_into

        def recv_into(self: ssl.SSLSocket, *args: object) -> int:
            count = real(self, *args)  # type: ignore[arg-type]
            if not count:
                raise Late("refused")
            return count

        m.setattr(ssl.SSLSocket, "recv_into", recv_into)
        with pytest.raises(http.Silence):
            http.call("POST", url, timeout=PATIENCE, tls=authority.tls("revoked"))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_before_1_2_is_not_spoken(authority: Authority) -> None:
    with (
        demanding(authority, Peers(), ssl.TLSVersion.TLSv1_1) as url,
        pytest.raises(http.Unreachable),
    ):
        http.call("POST", url, timeout=PATIENCE, tls=authority.tls("us"))


@pytest.mark.parametrize("missing", ["cert", "key", "ca"])
def test_a_file_that_is_not_there_is_named(authority: Authority, missing: str) -> None:
    tls = authority.tls("us")
    lost = Tls(**{"cert": tls.cert, "key": tls.key, "ca": tls.ca, missing: "/nowhere/x.pem"})
    with (
        demanding(authority, Peers(), ssl.TLSVersion.TLSv1_3) as url,
        pytest.raises(http.Unreachable, match=r"/nowhere/x\.pem"),
    ):
        http.call("POST", url, timeout=PATIENCE, tls=lost)


def test_a_form_is_sent_as_a_browser_sends_it() -> None:
    received = b""

    def talk(connection: socket.socket) -> None:
        nonlocal received
        received = connection.recv(65536)
        while b"\r\n\r\n" not in received or received.endswith(b"\r\n\r\n"):
            received += connection.recv(65536)
        connection.sendall(EMPTY)

    with a_server(talk) as url:
        http.call("POST", url, timeout=PATIENCE, form={"amount": "104.86", "name": "Åsa & co"})
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"Content-Type: application/x-www-form-urlencoded" in head
    assert body == b"amount=104.86&name=%C3%85sa+%26+co"
