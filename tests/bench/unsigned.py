"""Webhooks with a signature of nobody's, sent by as little work as can be: whoever sends them
shares the cores with the service."""

from __future__ import annotations

import json
import re
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

SENDERS = 8
"""Connections; each is kept."""
MOST_SECONDS = 1800.0
"""For those that go as fast as they can: at a hundred a second 100,000 take less."""
_BODY = json.dumps({"id": "evt_1", "type": "payment_intent.succeeded"})
_REQUEST = (
    "POST /v1/webhooks/stripe HTTP/1.1\r\n"
    "Host: 127.0.0.1\r\n"
    "Content-Type: application/json\r\n"
    f"Content-Length: {len(_BODY)}\r\n"
    f"Stripe-Signature: t={{now}},v1={'0' * 64}\r\n"
    "\r\n"
    f"{_BODY.replace('{', '{{').replace('}', '}}')}"
)
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


class Sender:
    """Sends them, and counts the answers."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[int] = Counter()
        self._port = port
        self._lock = threading.Lock()

    @property
    def sent(self) -> int:
        return self.answers.total()

    def flood(self, count: int) -> float:
        """So many, as fast as they go; how many seconds that took."""
        started = time.monotonic()
        shares = [count // SENDERS + (number < count % SENDERS) for number in range(SENDERS)]
        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(lambda share: self._run(share, started + MOST_SECONDS), shares))
        return time.monotonic() - started

    @contextmanager
    def trickling(self, rate: float) -> Iterator[None]:
        """At a constant rate while the block runs; less only if the answers take longer."""
        over = threading.Event()
        pace = SENDERS / rate
        threads = [
            threading.Thread(target=self._trickle, args=(over, pace, number * pace / SENDERS))
            for number in range(SENDERS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def _trickle(self, over: threading.Event, pace: float, first: float) -> None:
        with self._connect() as connection:
            due = time.monotonic() + first
            while not over.wait(max(0.0, due - time.monotonic())):
                self._one(connection)
                due += pace

    def _run(self, count: int, until: float) -> None:
        with self._connect() as connection:
            for _ in range(count):
                if time.monotonic() > until:
                    break
                self._one(connection)

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=30)

    def _one(self, connection: socket.socket) -> None:
        connection.sendall(_REQUEST.format(now=int(time.time())).encode())
        answer = b""
        while not _is_whole(answer):
            if not (more := connection.recv(65536)):
                raise RuntimeError("the service hung up")
            answer += more
        with self._lock:
            self.answers[int(answer[9:12])] += 1


def own_seconds() -> float:
    """CPU time of this process, in which they are sent."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


def _is_whole(answer: bytes) -> bool:
    head, gap, body = answer.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    return bool(gap and length and len(body) >= int(length[1]))
