"""Connections to Redis, which nobody waits for longer than REDIS_PATIENCE."""

from __future__ import annotations

import socket
import time
from typing import Any

from redis import ConnectionPool, Redis
from redis.connection import Connection, SSLConnection, parse_url
from redis.exceptions import ConnectionError, ReadOnlyError
from redis.sentinel import Sentinel

from payment_service import addresses
from payment_service.config import redis_urls

REDIS_PATIENCE = 0.5
"""Seconds: for a connection, from looking its host's name up to TLS, and for each answer. Redis
only speeds things up; a request waits no longer than this for a dead one."""


def pool(url: str, **more: Any) -> ConnectionPool:
    """Connections to the Redis of this URL, or to the master that its Sentinels name; `more` are
    redis-py's options of a pool. An option in the URL would win over ours, so config/urls.py takes
    none that has to do with waiting."""
    found = redis_urls.watched(url)
    if found is None:
        return ConnectionPool.from_url(url, **_patience(url, _Plain, _TLS), **more)
    asked = {"sentinel": _sentinel(found), "master": found.master}
    patience = _patience(found.redis_url, _OfSentinel, _OfSentinelTLS)
    return ConnectionPool.from_url(found.redis_url, **patience, **asked, **more)


def client(url: str) -> Redis:
    return Redis(connection_pool=pool(url))


def _patience(url: str, plain: type[Connection], tls: type[Connection]) -> dict[str, Any]:
    return {
        "socket_timeout": REDIS_PATIENCE,
        "socket_connect_timeout": REDIS_PATIENCE,
        "connection_class": tls if url.startswith("rediss:") else plain,
    }


def _sentinel(found: redis_urls.Watched) -> Sentinel:
    """Asks them in turn. Each gets a part of the patience: with all of them dead nobody waits
    longer to learn of no master than for a dead master."""
    part = REDIS_PATIENCE / len(found.sentinels)
    about = parse_url(found.redis_url)  # type: ignore[no-untyped-call]
    options = {
        **{name: value for name, value in about.items() if name.startswith("ssl_")},
        **_patience(found.redis_url, _Plain, _TLS),
        "socket_timeout": part,
        "socket_connect_timeout": part,
        "password": found.sentinel_password,
    }
    asked = Sentinel([])  # type: ignore[no-untyped-call]
    asked.sentinels = [
        Redis(connection_pool=ConnectionPool(host=host, port=port, **options))
        for host, port in found.sentinels
    ]
    return asked


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


class _OfSentinel(_Plain):
    """Goes to the master that the Sentinels name when it connects."""

    def __init__(self, *, sentinel: Sentinel, master: str, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._sentinel, self._master = sentinel, master

    def _connect(self) -> Any:
        found = self._sentinel.discover_master(self._master)  # type: ignore[no-untyped-call]
        self.host, self.port = found
        return super()._connect()

    def read_response(self, *args: Any, **more: Any) -> Any:
        """A master that has become a replica refuses what is written: whoever hears that connects
        anew, and so to the new master."""
        try:
            return super().read_response(*args, **more)
        except ReadOnlyError as error:
            self.disconnect()  # type: ignore[no-untyped-call]
            raise ConnectionError("this Redis is not the master any more") from error


class _OfSentinelTLS(_OfSentinel, _TLS):
    pass
