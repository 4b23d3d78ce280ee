"""Payers on the pages of providers: they say yes, no, nothing, twice, or when it is too late."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import requests

from tests.campaign import timing
from tests.campaign.dialects import DIALECTS, Dialect
from tests.campaign.told import Answer, Asked

AT_ONCE = 48
"""Payers who are on a page or think: more than charges that callers wait for, and than those who
come too late."""
TRIES = 20
"""To open the page, half a second apart: our link is away while the service is."""

Word = tuple[float, bool]
"""Seconds that a payer thinks, and then yes or no."""


class Payers:
    """One comes to the page of each payment whose caller was told of one."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._lock = threading.Lock()
        self._seen: set[int] = set()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="payer")
        self._visits: list[Future[None]] = []
        self._over = threading.Event()
        self.done: Counter[str] = Counter()
        # When a payer last had a word about a charge of ours, whose reference has no hyphens here.
        self.said_at: dict[str, float] = {}

    def told(self, asked: Asked, answer: Answer) -> None:
        """Whoever has the answer leads the payer on."""
        body = answer.json()
        action, dialect = body.get("next_action"), DIALECTS.get(str(body.get("provider")))
        with self._lock:
            if not action or dialect is None or body["payment_id"] in self._seen:
                return
            self._seen.add(body["payment_id"])
            # Of a page that can be paid twice a second hold is left to a person.
            hold = asked.body.get("capture") is False
            will, words = self._will(twice=not (dialect.twice and hold))
            reference = body["transactions"][-1]["reference"]
            visit = self._pool.submit(self._visit, dialect, action, reference, will, words)
            self._visits.append(visit)

    def said(self, reference: str) -> None:
        """A payer has had a word, or may have had it."""
        with self._lock:
            self.said_at[reference.replace("-", "")] = time.time()

    def on_their_way(self) -> int:
        with self._lock:
            return sum(not visit.done() for visit in self._visits)

    def close(self) -> None:
        """Returns once nobody is on a page."""
        self._over.set()
        self._pool.shutdown()

    def _will(self, *, twice: bool) -> tuple[str, list[Word]]:
        soon = self._rng.uniform(0.1, 1.5)
        late = timing.ACTION_SECONDS + 2 * soon
        wills: list[tuple[int, str, list[Word]]] = [
            (55, "yes", [(soon, True)]),
            (12, "no", [(soon, False)]),
            (8, "nothing", []),
            (12 if twice else 0, "twice", [(soon, True), (soon, True)]),
            (6, "no, then yes", [(soon, False), (soon, True)]),
            (7, "too late", [(late, True)]),
        ]
        _, name, words = self._rng.choices(wills, [one[0] for one in wills])[0]
        return name, words

    def _visit(
        self, dialect: Dialect, action: dict[str, Any], reference: str, will: str, words: list[Word]
    ) -> None:
        page = self._opened(lambda: dialect.page(action))
        if page is None:
            return
        with self._lock:
            self.done[f"{dialect.name}: {will}"] += 1
        for thinks, yes in words:
            if self._over.wait(thinks):
                return
            # Not said again if the answer is lost: that would be another word.
            with contextlib.suppress(requests.RequestException):
                dialect.says(page, yes)
            self.said(reference)

    def _opened(self, opens: Callable[[], str | None]) -> str | None:
        for _ in range(TRIES):
            with contextlib.suppress(requests.RequestException):
                return opens()
            if self._over.wait(0.5):
                break
        return None
