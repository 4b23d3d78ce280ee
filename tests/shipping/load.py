"""Fifty requests a second, from before a stop until after it: who got no answer?"""

from __future__ import annotations

import http.client
import itertools
import json
import select
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

RATE = 50
THREADS = 200
"""More than can be under way: one that waits for a thread would be late."""


class Load:
    """Half of the requests charge an order, half read; every third comes on a connection that is
    kept. Counts statuses, `refused` (nobody listens any more) and `lost` (a connection that broke
    before its answer)."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.counts: Counter[str] = Counter()
        self.charged: list[str] = []
        self._numbers = itertools.count(int(time.time() * 1000))
        self._over = threading.Event()
        self._kept: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def run(self) -> None:
        """Sends at a constant rate until `end`, and returns when all is answered."""
        with ThreadPoolExecutor(THREADS) as pool:
            began = time.monotonic()
            for count in itertools.count():
                if self._over.wait(max(0.0, began + count / RATE - time.monotonic())):
                    return
                pool.submit(self._send, count)

    def end(self) -> None:
        self._over.set()

    def _send(self, count: int) -> None:
        connection = (self._taken() if count % 3 == 0 else None) or http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=60
        )
        try:
            outcome = self._ask(connection, count)
        except ConnectionRefusedError:
            outcome = "refused"
        except (OSError, http.client.HTTPException) as error:
            outcome = f"lost: {type(error).__name__}"
        if outcome.isdigit() and count % 3 == 0:
            with self._lock:
                self._kept.append(connection)
        else:
            connection.close()
        with self._lock:
            self.counts[outcome] += 1

    def _taken(self) -> http.client.HTTPConnection | None:
        """A kept connection that the server has not closed yet; one that it has is no loss."""
        while True:
            with self._lock:
                if not self._kept:
                    return None
                connection = self._kept.pop()
            if connection.sock is not None and not select.select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection, count: int) -> str:
        if count % 2:
            connection.request("GET", "/v1/payments?limit=5", headers=self.headers)
        else:
            number = next(self._numbers)
            body = {"order_id": number, "amount": "10.00", "idempotency_key": f"load-{number}"}
            connection.request("POST", "/v1/payments/charge", json.dumps(body), self.headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        if answer.status == 201:
            with self._lock:
                self.charged.append(told["reference"])
        return str(answer.status)
