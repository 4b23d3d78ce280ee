"""The providers' calls to us: sent after the answer, repeated until they are taken, with faults."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Mapping
from secrets import token_hex

from payment_service import http
from payment_service.sandbox.faults import LIES, Ask, Fault, Faults
from payment_service.sandbox.memory import Memory, Row
from payment_service.sandbox.times import now

log = logging.getLogger(__name__)

Build = Callable[[str | None], tuple[bytes, Mapping[str, str]]]
"""Body and headers of a webhook; told wrongly where it is given the name of a lie (faults.LIES)."""

TABLE = "webhook"
# The answer to the request that it is about has usually gone out by then.
BEHIND_THE_ANSWER = 0.05
TRIES = 8
PATIENCE = 10.0
_LATE_MS = 2_000


class Webhooks:
    """Sends webhooks, oldest first, and again until they are answered 2xx, with pauses that double
    from a quarter of a second. What waits is in the journal, and comes back with the next process.
    """

    def __init__(self, memory: Memory, faults: Faults, base_url: str | None) -> None:
        self._memory, self._faults, self._set = memory, faults, base_url
        self.base_url = base_url
        self._news = threading.Condition()
        self._due: list[tuple[float, str]] = []
        self._held: dict[str, list[Row]] = {}

    def start(self) -> None:
        """Begin to send, also what an earlier process could not."""
        for row in self._memory.rows(TABLE):
            if row["status"] == "waiting":
                self._put_in_line(row, BEHIND_THE_ANSWER)
        threading.Thread(target=self._work, name="webhooks", daemon=True).start()

    def reset(self) -> None:
        """Forget what waits; the address is again the one that the settings name."""
        with self._news:
            self._due.clear()
            self._held.clear()
        self.base_url = self._set

    def address_of(self, dialect: str) -> str | None:
        """Where a provider sends what has no address of its own; None if nobody set one."""
        return f"{self.base_url.rstrip('/')}/{dialect}" if self.base_url else None

    def send(
        self, *, dialect: str, event: str, reference: str | None, url: str | None, build: Build
    ) -> None:
        """Sends one to `url` once the request that is being served is answered. `event` and
        `reference` are what faults of the operation `webhook` may match on, beside `dialect`.
        Without a `url` nothing is sent."""
        if url is None:
            return
        fields = {"dialect": dialect, "event": event, "reference": reference}
        fault = self._faults.take(Ask("webhook", "POST", url, fields))
        lie = fault.fault if fault is not None and fault.fault in LIES else None
        body, headers = build(lie)
        row: Row = {
            "id": f"wh_{token_hex(8)}",
            **fields,
            "url": url,
            "body": body.decode("latin-1"),
            "headers": dict(headers),
            "fault": fault.fault if fault else None,
            "created_at": now(),
            "status": "waiting",
            "tries": 0,
            "answer": None,
        }
        self._dispatch(row, fault)

    def again(self, row_id: str) -> bool:
        """Sends one more time; False if there is none of that id."""
        row = self._memory.get(TABLE, row_id)
        if row is not None:
            self._put_in_line({**row, "status": "waiting", "tries": 0}, 0.0)
        return row is not None

    def _dispatch(self, row: Row, fault: Fault | None) -> None:
        how = fault.fault if fault else None
        held = [] if how == "after_the_next" else self._let_go(row["dialect"])
        if how == "never":
            self._memory.put(TABLE, {**row, "status": "never"})
        elif how == "before_the_answer":
            self._memory.put(TABLE, row)  # who is killed while it is heard has sent it
            self._try(row)
        elif how == "after_the_next":
            self._memory.put(TABLE, row)
            with self._news:
                self._held.setdefault(row["dialect"], []).append(row)
        else:
            wait = fault.wait(_LATE_MS) if fault and how == "late" else BEHIND_THE_ANSWER
            self._put_in_line(row, wait)
            if how == "twice":
                self._put_in_line({**row, "id": f"wh_{token_hex(8)}"}, wait)
        for earlier in held:
            self._put_in_line(earlier, 2 * BEHIND_THE_ANSWER)

    def _let_go(self, dialect: str) -> list[Row]:
        with self._news:
            return self._held.pop(dialect, [])

    def _put_in_line(self, row: Row, seconds: float) -> None:
        self._memory.put(TABLE, row)
        with self._news:
            heapq.heappush(self._due, (time.monotonic() + seconds, row["id"]))
            self._news.notify()

    def _work(self) -> None:
        while True:
            row = self._memory.get(TABLE, self._next())
            if row is not None and row["status"] == "waiting":
                # One thread for each: a service that answers slowly holds up no other webhook.
                threading.Thread(target=self._try, args=(row,), daemon=True).start()

    def _next(self) -> str:
        """The id of the one that is due; waits for it."""
        with self._news:
            while True:
                left = self._due[0][0] - time.monotonic() if self._due else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._due)[1]
                self._news.wait(left)

    def _try(self, row: Row) -> None:
        tried = {**row, "tries": row["tries"] + 1}
        try:
            answer = http.call(
                "POST",
                row["url"],
                data=row["body"].encode("latin-1"),
                headers=row["headers"],
                timeout=PATIENCE,
            )
            tried["answer"] = answer.status
        except (http.Unreachable, http.Silence) as error:
            log.info("webhook %s: %s", row["id"], error)
            tried["answer"] = None
        if tried["answer"] is not None and 200 <= tried["answer"] < 300:
            self._memory.put(TABLE, {**tried, "status": "taken"})
        elif tried["tries"] >= TRIES:
            self._memory.put(TABLE, {**tried, "status": "given up"})
        else:
            self._put_in_line(tried, 0.25 * 2 ** (tried["tries"] - 1))
