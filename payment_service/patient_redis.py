"""Connections to Redis, which nobody waits for longer than REDIS_PATIENCE."""

from __future__ import annotations

import socket
import time
from typing import Any

from redis import Redis
from redis.connection import Connection, SSLConnection

from payment_service import addresses

REDIS_PATIENCE = 0.5
"""Seconds: for a connection, from looking its host's name up to TLS, and for each answer. Redis
only speeds things up; a request waits no longer than this for a dead one."""


def options(url: str) -> dict[str, Any]:
    """redis-py's own, for a client of this URL. An option in the URL would win over them, so
    config/urls.py takes none that has to do with waiting."""
    return {
        "socket_timeout": REDIS_PATIENCE,
        "socket_connect_timeout": REDIS_PATIENCE,
        "connection_class": _TLS if url.startswith("rediss:") else _Plain,
    }


def client(url: str) -> Redis:
    return Redis.from_url(url, **options(url))


class _Plain(Connection):
    """redis-py's own waits as long for each address of a host, and without end to find them."""

    _ends = 0.0

    def _connect(self) -> Any:
        """The socket. Raises OSError."""
        name, patience = self.host, self.socket_connect_timeout or REDIS_PATIENCE
        self._ends = time.monotonic() + patience
        found = addresses.of_host(name, patience)
        try:
            for number, address in enumerate(found):
                # A part for each, or one that swallows what is sent there leaves none to the next.
                self.host = address
                self.socket_connect_timeout = self._left() / (len(found) - number)
                try:
                    return super()._connect()  # type: ignore[no-untyped-call]
                except OSError:
                    if address == found[-1]:
                        raise
        finally:
            self.host, self.socket_connect_timeout = name, patience
        raise OSError("the name has no address")

    def _left(self) -> float:
        """Seconds; more than 0, which would be no patience with what is there already."""
        return max(0.001, self._ends - time.monotonic())


class _TLS(SSLConnection, _Plain):
    def _wrap_socket_with_ssl(self, sock: socket.socket) -> Any:
        """The handshake, which is several round trips, ends with the patience too."""
        sock.settimeout(self._left())
        wrapped = super()._wrap_socket_with_ssl(sock)  # type: ignore[no-untyped-call]
        wrapped.settimeout(self.socket_timeout)
        return wrapped
