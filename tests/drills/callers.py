"""Callers that meet no faults but the drill's own, and a note of when each answer came."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Any

import requests

from tests.campaign.faulty import Levers
from tests.campaign.load import Caller, Market

BUSY = 500
"""From this status on nobody was served; 0 stands for no answer at all."""


class CalmLevers(Levers):
    """Arms nothing: what goes wrong in a drill is the drill's doing."""

    def deal(self, *_: Any, **__: Any) -> str:
        return ""

    def arm(self, *_: Any, **__: Any) -> str | None:
        return None


@dataclass(frozen=True)
class Came:
    """One try of a request: when it was sent, when it ended, and how."""

    sent: float
    ended: float
    status: int

    @property
    def served(self) -> bool:
        return 0 < self.status < BUSY


class Watch:
    """Every try of every caller."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._came: list[Came] = []

    def note(self, came: Came) -> None:
        with self._lock:
            self._came.append(came)

    def all(self) -> list[Came]:
        with self._lock:
            return sorted(self._came, key=lambda one: one.ended)

    def unserved(self) -> list[Came]:
        """The tries that got no answer, or were told that nobody can serve them."""
        return [one for one in self.all() if not one.served]

    def refused_for(self, blow: float) -> float:
        """Seconds from the blow until nobody is refused any more, and somebody is served. 0 where
        nobody was refused."""
        after = [one for one in self.all() if one.ended >= blow]
        refused = [one.ended for one in after if not one.served]
        if not refused:
            return 0.0
        served = next((one.ended for one in after if one.served and one.sent > blow), time.time())
        return max(served, *refused) - blow

    def longest_refusal(self) -> float:
        """Seconds of the longest stretch in which somebody was refused and nobody was served."""
        longest, served, refused = 0.0, 0.0, False
        for one in self.all():
            if one.served:
                if refused:
                    longest = max(longest, one.ended - served)
                served, refused = one.ended, False
            elif served:
                refused = True
        return longest

    def slowest(self) -> float:
        """Seconds that the slowest try that was served took."""
        return max((one.ended - one.sent for one in self.all() if one.served), default=0.0)


class WatchedSession(requests.Session):
    """Notes each request that goes through it."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.trust_env = False
        self._watch = watch

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        sent, status = time.time(), 0
        try:
            answer = super().request(*args, **kwargs)
            status = answer.status_code
            return answer
        finally:
            self._watch.note(Came(sent, time.time(), status))


class WatchedCaller(Caller):
    """One of the campaign's callers, with its watch."""

    def __init__(self, market: Market, rng: random.Random, watch: Watch) -> None:
        super().__init__(market, rng)
        self.session = WatchedSession(watch)
