"""Requests that were kept to be done later, also by the next process."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from secrets import token_hex

from flask import Flask, request

from payment_service.sandbox.memory import Memory, Row
from payment_service.sandbox.times import stamp

log = logging.getLogger(__name__)

LATE = "sandbox.late"
"""In the environ of a request that arrives late."""


class Postponed:
    """Keeps requests in the journal and does each once its time has come.

    Doing one twice is harmless: its reference is its idempotency key, so a kill between the
    deed and the note that it is done loses nothing and doubles nothing.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._news = threading.Condition()
        self._due: list[tuple[float, str]] = []
        self._reload()

    def start(self, app: Flask) -> None:
        """Begin to hand what is due to the app, which has all its routes by now."""
        self._app = app
        threading.Thread(target=self._work, name="arrive-late", daemon=True).start()

    def _reload(self) -> None:
        with self._news:
            self._due = [(row["due"], row["id"]) for row in self._memory.rows("late")]
            heapq.heapify(self._due)

    def keep(self, operation: str, reference: str | None, seconds: float) -> None:
        """Do the request that is being served that many seconds from now, as it came."""
        due = time.time() + seconds
        row_id = f"late_{token_hex(8)}"
        row: Row = {"id": row_id, "due": due, "due_at": stamp(due)}
        row |= {"operation": operation, "reference": reference, "method": request.method}
        row |= {"path": request.full_path, "headers": dict(request.headers)}
        row["body"] = request.get_data().decode("latin-1")
        self._memory.put("late", row)
        with self._news:
            heapq.heappush(self._due, (due, row_id))
            self._news.notify()

    def _work(self) -> None:
        while True:
            self._wait()
            try:
                self.run_once()
            except OSError:
                log.exception("the journal can't be written; late requests wait")
                time.sleep(1.0)
                self._reload()

    def _wait(self) -> None:
        with self._news:
            if not self._due:
                self._news.wait()
            elif (seconds := self._due[0][0] - time.time()) > 0:
                self._news.wait(min(seconds, 3600.0))

    def arrive(self, reference: str) -> int:
        """Do at once what is kept under this reference; how many that were."""
        kept = [row for row in self._memory.rows("late") if row["reference"] == reference]
        for row in kept:
            self._do(row)
        return len(kept)

    def run_once(self) -> int:
        """Do everything that is due; how many that were."""
        done = 0
        while (row_id := self._next()) is not None:
            row = self._memory.get("late", row_id)
            if row is not None:
                self._do(row)
                done += 1
        return done

    def _next(self) -> str | None:
        with self._news:
            if not self._due or self._due[0][0] > time.time():
                return None
            _, row_id = heapq.heappop(self._due)
            return row_id

    def _do(self, row: Row) -> None:
        answer = self._app.test_client().open(
            row["path"],
            method=row["method"],
            headers=row["headers"],
            data=row["body"].encode("latin-1"),
            environ_overrides={LATE: True},
        )
        if answer.status_code >= 400:
            log.info("a late %s was answered %s", row["operation"], answer.status_code)
        self._memory.remove("late", row["id"])
