"""A limit: so many requests in so much time; and how it stands after one more."""

from __future__ import annotations

import time
from typing import NamedTuple

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

MOST_KEPT = 1000
"""Requests. A window of fewer keeps when each came, and is exact (a moving window). One of as many
or more keeps two numbers and is as good as exact (a sliding window counter): 1,500 times took
29 KB, and that for each caller."""


class Standing(NamedTuple):
    """How a window stands after a request."""

    window: Window
    taken: bool
    """Whether there was room for it. One for which there was none does not count."""
    remaining: int
    """How many more there is room for."""
    reset: float
    """Seconds until there is room for one more."""


class Window:
    """So many requests in so many seconds, of which `item` is limits' own form."""

    def __init__(self, item: RateLimitItem) -> None:
        self.item, self.most, self.seconds = item, item.amount, item.get_expiry()
        self.keeps_times = item.amount < MOST_KEPT
        self.standing = self._of_times if self.keeps_times else self._of_counts

    def _of_times(self, told: bytes, now: float) -> Standing:
        """Of what Redis told: whether there was room, the oldest time, and how many there are."""
        taken, oldest, count = told.split()
        # Lua rounds times to 0.1 ms.
        reset = min(float(oldest) - now, 0.0) + self.seconds
        return Standing(self, taken == b"1", max(0, self.most - int(count)), reset)

    def _of_counts(self, told: bytes, now: float) -> Standing:
        """Of what Redis told: whether there was room, how many the window before had and how many
        this one has, each with the milliseconds that it is kept."""
        taken, before, before_kept, count, kept = map(int, told.split())
        weighted = before * before_kept // (1000 * self.seconds) + count if before else count
        if before:  # which counts less and less
            reset = before_kept / 1000 % (self.seconds / before)
        else:  # this one begins to, once it is over; it is kept for as long again
            reset = max(0.0, kept / 1000 - self.seconds)
        return Standing(self, taken == 1, max(0, self.most - weighted), reset)


class Limit:
    """A limit with a count for each who. `name` and `of` say to people which one it is."""

    def __init__(self, name: str, of: str, text: str) -> None:
        """`text` is as in "100 per second; 2000 per minute": all of these windows hold."""
        self.name, self.of = name, of
        self.windows = tuple(map(Window, parse_many(text)))


def narrowest(standings: list[Standing]) -> Standing:
    """The one that had no room, or else has room for the fewest; of several the one that has room
    again last."""
    return min(standings, key=lambda one: (one.taken, one.remaining, -one.reset))


MOST_COUNTS = 50_000
"""That a process keeps, one for each caller and window: some 30 MB. limits' storage in memory keeps
the name of each caller who ever came, and who guesses tokens can come from any number of networks.
With one more all begin anew: that many callers in one process, without Redis, are no day on which
limits are exact."""


class Memory:
    """Counts in this process alone, and while it lives."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()

    def counts(self) -> int:
        """How many are kept."""
        return len(self._storage.events) + len(self._storage.storage)

    def hit(self, limit: Limit, who: str) -> Standing:
        if self.counts() >= MOST_COUNTS:
            self._storage = MemoryStorage()
        storage = self._storage
        standings = []
        for window in limit.windows:
            kind = (
                MovingWindowRateLimiter if window.keeps_times else SlidingWindowCounterRateLimiter
            )
            strategy = kind(storage)
            taken = strategy.hit(window.item, limit.name, who)
            at, remaining = strategy.get_window_stats(window.item, limit.name, who)
            standings.append(Standing(window, taken, remaining, at - time.time()))
        return narrowest(standings)
