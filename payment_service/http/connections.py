"""Connections that wait for nothing beyond the deadline of the call that uses them.

urllib3 bounds connecting, and each read by itself; whoever sends a byte now and then could hold it
for ever. So each time something is sent or received, the socket's time-out becomes what is left of
the call. urllib3's pools, its connections and TLS stay what they are.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError, SSLError
from urllib3.util.connection import create_connection
from urllib3.util.ssl_ import create_urllib3_context

from payment_service import addresses

CONNECT_SECONDS = 3.0
"""To one address. A service on our own network answers a SYN at once or not at all."""


class Call:
    """One call: how long it may still take, and whether anything of it may have been taken in.
    `refused` says in plain words why no TLS came about."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self.sent = False
        self.refused: str | None = None

    def left(self) -> float:
        """Seconds, more than 0. Raises TimeoutError when there are none."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the call's time is over")
        return left


_CALL: ContextVar[Call] = ContextVar("call")


@contextmanager
def bounded(seconds: float) -> Iterator[Call]:
    """What is sent and received inside, by this thread, is one call."""
    call = Call(seconds)
    token = _CALL.set(call)
    try:
        yield call
    finally:
        _CALL.reset(token)


class _Bounded:
    """Mixed into a socket: each of these waits as long as the call has left."""

    def recv_into(self, *args: Any) -> int:
        self.settimeout(_CALL.get().left())  # type: ignore[attr-defined]
        return super().recv_into(*args)  # type: ignore[misc, no-any-return]

    def send(self, *args: Any) -> int:
        self._leaves()
        return super().send(*args)  # type: ignore[misc, no-any-return]

    def sendall(self, *args: Any) -> None:
        self._leaves()
        super().sendall(*args)  # type: ignore[misc]

    def _leaves(self) -> None:
        call = _CALL.get()
        self.settimeout(call.left())  # type: ignore[attr-defined]
        call.sent = True


class _Socket(_Bounded, socket.socket):
    pass


class _TLSSocket(_Bounded, ssl.SSLSocket):
    heard = False

    def recv_into(self, *args: Any) -> int:
        """Receives. In TLS 1.3 the other side looks at our certificate when our handshake is over,
        and the request may be on its way by then; it reads nothing of that before it has agreed.
        So a no to the certificate, as the first word on a connection, is a no to all of it."""
        try:
            count = super().recv_into(*args)
        except ssl.SSLError as error:
            if not self.heard and (why := _about_our_certificate(error)):
                call = _CALL.get()
                call.sent, call.refused = False, why
            raise
        self.heard = True
        return count

    def send(self, *args: Any) -> int:
        try:
            return super().send(*args)
        except OSError:
            if not self.heard:  # they hung up: what they said before may lie here still
                with suppress(OSError):
                    self.recv_into(bytearray(1))
            raise

    def do_handshake(self, block: bool = False) -> None:
        """Agrees on TLS. What it sends is no part of the request, so it does not count as sent."""
        self.settimeout(_CALL.get().left())
        super().do_handshake(block)


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _TLSConnection(HTTPSConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ssl_context = self.ssl_context or create_urllib3_context()
        self.ssl_context.sslsocket_class = _TLSSocket

    def connect(self) -> None:
        try:
            super().connect()
        except (ssl.SSLError, SSLError) as error:
            _CALL.get().refused = _plainly(error)
            raise

    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class Adapter(HTTPAdapter):
    """requests' own, with these connections in its pools."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}


_ABOUT_A_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")
"""Words in the names of the alerts by which TLS refuses one."""


def _about_our_certificate(error: Exception) -> str | None:
    """What the other side says against our certificate; None if it is not about that."""
    _, alert, name = (getattr(error, "reason", None) or "").rpartition("_ALERT_")
    if not alert or not any(word in name for word in _ABOUT_A_CERTIFICATE):
        return None
    return f"our certificate was refused ({name.lower().replace('_', ' ')})"


def _plainly(error: Exception) -> str:
    """Why there is no TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not believed ({error.verify_message})"
    return _about_our_certificate(error) or f"no TLS ({getattr(error, 'reason', None) or error})"


def _connect(connection: HTTPConnection) -> socket.socket:
    call = _CALL.get()
    refused: OSError = OSError("the name has no address")
    for address in addresses.of_host(connection._dns_host, call.left()):
        try:
            plain = create_connection(
                (address, connection.port),
                min(CONNECT_SECONDS, call.left()),
                socket_options=connection.socket_options,
            )
        except OSError as error:
            refused = error
            continue
        found = _Socket(plain.family, plain.type, plain.proto, plain.detach())
        found.settimeout(call.left())
        return found
    raise NewConnectionError(connection, str(refused)) from refused
