"""Requests that were kept to be done later, also by the next process."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any

from payment_service.sandbox.memory import Memory, Row
from payment_service.sandbox.refusals import Invalid, Refused
from payment_service.sandbox.times import stamp

log = logging.getLogger(__name__)

# The operation, the charge that it is about if any, and the body.
Perform = Callable[[str, str | None, Any], object]


class Postponed:
    """Keeps requests in the journal and does each once its time has come.

    Doing one twice is harmless: its reference is its idempotency key, so a kill between the
    deed and the note that it is done loses nothing and doubles nothing.
    """

    def __init__(self, memory: Memory, perform: Perform) -> None:
        self._memory = memory
        self._perform = perform
        self._news = threading.Condition()
        self._due: list[tuple[float, str]] = []
        self._reload()
        threading.Thread(target=self._work, name="arrive-late", daemon=True).start()

    def _reload(self) -> None:
        with self._news:
            self._due = [(row["due"], row["id"]) for row in self._memory.rows("late")]
            heapq.heapify(self._due)

    def keep(self, operation: str, target: str | None, body: object, seconds: float) -> None:
        """Do this request that many seconds from now."""
        due = time.time() + seconds
        row_id = f"late_{token_hex(8)}"
        row: Row = {"id": row_id, "due": due, "due_at": stamp(due)}
        row |= {"operation": operation, "target": target, "body": body}
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
        kept = [
            row
            for row in self._memory.rows("late")
            if isinstance(row["body"], dict) and row["body"].get("reference") == reference
        ]
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
        try:
            self._perform(row["operation"], row["target"], row["body"])
        except (Invalid, Refused) as refusal:
            log.info("a late %s was refused: %s", row["operation"], refusal)
        self._memory.remove("late", row["id"])
