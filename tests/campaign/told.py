"""What callers asked and what they were told: kept whole, to be held against the books."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

IN_PROGRESS = "idempotency_key_in_progress"
# Nothing stands under the key after these, by contract; the same request may come again.
RETRIED = {202, 408, 429, 500, 502, 503, 504}
KEPT = {200, 201, 402}


@dataclass(frozen=True)
class Answer:
    """One HTTP answer as it came in; `at` is seconds since the epoch."""

    at: float
    status: int
    body: str
    replayed: bool

    def json(self) -> dict[str, Any]:
        found = json.loads(self.body)
        return found if isinstance(found, dict) else {}

    @property
    def definite(self) -> bool:
        """Whether a caller may go on to another request after it."""
        if self.status in RETRIED:
            return False
        return self.status != 409 or self.json().get("code") != IN_PROGRESS


@dataclass
class Asked:
    """One request under one key, over all its retries. `token` names the payer's card."""

    verb: str
    path: str
    body: dict[str, Any]
    key: str
    token: str | None
    note: str = ""
    tries: int = 0
    silences: int = 0
    answers: list[Answer] = field(default_factory=list)

    @property
    def final(self) -> Answer | None:
        return next((answer for answer in self.answers if answer.definite), None)


class Told:
    """Everything that was asked, from all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: list[Asked] = []
        self._numbers = itertools.count(1)

    def note(self, asked: Asked) -> Asked:
        with self._lock:
            self._asked.append(asked)
        return asked

    def number(self) -> int:
        """A number that nobody else has."""
        with self._lock:
            return next(self._numbers)

    def all(self) -> list[Asked]:
        with self._lock:
            return list(self._asked)

    def owed(self) -> list[Asked]:
        """The requests that have no definite answer so far."""
        return [asked for asked in self.all() if asked.final is None]

    def by_outcome(self) -> Counter[str]:
        """How many requests of which verb ended how."""
        return Counter(
            f"{asked.verb} {asked.final.status if asked.final else 'owed'}" for asked in self.all()
        )
