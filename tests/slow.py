"""Clients that send or read slowly, over plain sockets."""

from __future__ import annotations

import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum

from tests.patience import PATIENCE

BIG = "/static/fonts/NotoSansCJKsc-Regular.otf"
"""An answer of 5.7 MB, more than any kernel keeps for a client that does not read."""


class Slow(StrEnum):
    """What a client is slow at."""

    HEADERS = "headers"
    BODY = "body"
    ANSWER = "answer"


_SENDS = {
    Slow.HEADERS: b"POST /v1/payments/charge HTTP/1.1\r\nHost: localhost\r\nContent-Type: applic",
    Slow.BODY: b"POST /v1/payments/charge HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: slow\r\n"
    b'Content-Type: application/json\r\nContent-Length: 400\r\n\r\n{"order_id": 1, ',
    Slow.ANSWER: f"GET {BIG} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
}


def slow_client(port: int, kind: Slow) -> socket.socket:
    """A connection to 127.0.0.1 on which as much was sent as a client of that kind ever sends."""
    sock = socket.socket()
    if kind is Slow.ANSWER:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(PATIENCE)
    sock.connect(("127.0.0.1", port))
    sock.sendall(_SENDS[kind])
    return sock


class Crowd:
    """So many slow clients, of all kinds in turn. Each that is closed is counted, and may come
    again."""

    def __init__(
        self, port: int, count: int, kinds: Iterable[Slow] = tuple(Slow), pause: float = 0.0
    ) -> None:
        """`pause` is between two that come."""
        self._port, self._kinds = port, list(kinds)
        self._poller = selectors.DefaultSelector()
        self.closed: Counter[Slow] = Counter()
        self.here = 0
        for number in range(count):
            self._come(self._kinds[number % len(self._kinds)])
            time.sleep(pause)

    def _come(self, kind: Slow) -> None:
        sock = slow_client(self._port, kind)
        # Whoever reads nothing must not even look: what arrives stays in the kernel, and of the
        # end of the connection the poller tells by itself.
        events = selectors.EVENT_WRITE if kind is Slow.ANSWER else selectors.EVENT_READ
        self._poller.register(sock, events, kind)
        self.here += 1

    def watch(self, until: Callable[[], bool], *, again: bool) -> None:
        """Keeps them here until that is so; with `again` who is closed comes back."""
        while not until():
            for key, _ in self._poller.select(timeout=0.1):
                sock, kind = key.fileobj, key.data
                assert isinstance(sock, socket.socket)
                if not self._is_closed(sock, kind):
                    continue
                self._poller.unregister(sock)
                sock.close()
                self.closed[kind] += 1
                self.here -= 1
                if again:
                    self._come(kind)
            time.sleep(0.05)  # of those that read nothing the poller always says something

    def _is_closed(self, sock: socket.socket, kind: Slow) -> bool:
        if kind is Slow.ANSWER:
            return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        try:
            return sock.recv(4096) == b""
        except OSError:
            return True

    def leave(self) -> None:
        for key in list(self._poller.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._poller.close()
