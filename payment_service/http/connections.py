"""Connections that wait for nothing beyond the deadline of the call that uses them.

urllib3 bounds connecting, and each read by itself; whoever sends a byte now and then could hold it
for ever. So each time something is sent or received, the socket's time-out becomes what is left of
the call. urllib3's pools, its connections and TLS stay what they are.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError
from urllib3.util.connection import allowed_gai_family, create_connection
from urllib3.util.ssl_ import create_urllib3_context, is_ipaddress

CONNECT_SECONDS = 3.0
"""To one address. A service on our own network answers a SYN at once or not at all."""


class Call:
    """One call: how long it may still take, and whether anything of it may have left us."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self.sent = False

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


def _connect(connection: HTTPConnection) -> socket.socket:
    call = _CALL.get()
    refused: OSError = OSError("the name has no address")
    for address in _addresses(connection._dns_host, call):
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


def _addresses(host: str, call: Call) -> list[str]:
    """The addresses of a host, each once. The system's resolver can't be told how long to look, so
    a thread waits for it, and is left to itself when the call's time is over."""
    host = host.strip("[]")
    if is_ipaddress(host):
        return [host]
    answer: SimpleQueue[list[str] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, None, allowed_gai_family(), socket.SOCK_STREAM)
            answer.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except (OSError, UnicodeError) as error:
            answer.put(OSError(str(error)))

    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answer.get(timeout=call.left())
    except Empty:
        raise TimeoutError(f"{host} was not resolved in time") from None
    if isinstance(found, Exception):
        raise found
    return found
