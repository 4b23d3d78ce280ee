"""Counts requests: in Redis, for all processes together; while it is away, or where there is none,
in the memory of each."""

from __future__ import annotations

import time

import structlog
from limits.storage import RedisStorage, Storage

from payment_service.ratelimit.full import Full
from payment_service.ratelimit.hits import Hits, Sent
from payment_service.ratelimit.windows import Limit, Memory, Standing

log = structlog.get_logger(__name__)

AWAY_SECONDS = 5.0
"""How long a Redis that did not answer is left alone. Then one request asks it, and may wait for
REDIS_PATIENCE; one in so many seconds."""


class Counter:
    """Counts by one storage. It never raises, whatever answers in Redis' place: no request fails
    for its count."""

    def __init__(self, storage: Storage) -> None:
        self._hits = Hits(storage) if isinstance(storage, RedisStorage) else None
        self._memory, self._full = Memory(), Full()
        self._ask_again = 0.0  # when, while Redis is away

    def hit(self, limit: Limit, who: str) -> Hit:
        """Counts one more request. It is on its way until its standing is asked for."""
        return Hit(self, limit, who, self._sent(limit, who))

    def hit_unless_full(self, limit: Limit, who: str) -> Hit:
        """The same, but that nobody is asked about who is known to have no room. For what anybody
        may send any number of."""
        if (known := self._full.standing(limit, who)) is not None:
            return Hit(self, limit, who, None, known)
        hit = self.hit(limit, who)
        self._full.keep(limit, who, hit.standing())
        return hit

    def standing(self, limit: Limit, who: str, sent: Sent | None) -> Standing:
        """What Redis told; else what this process counted."""
        if sent is not None:
            try:
                found = sent.standing()
            except Exception as error:
                self._is_away(error)
            else:
                if self._ask_again:
                    self._ask_again = 0.0
                    self._memory = Memory()  # what was counted there, nobody will ask for
                    log.info("rate_limit_redis_back")
                return found
        return self._memory.hit(limit, who)

    def _sent(self, limit: Limit, who: str) -> Sent | None:
        if self._hits is None or (self._ask_again and not self._may_ask()):
            return None
        try:
            return self._hits.send(limit, who)
        except Exception as error:
            self._is_away(error)
            return None

    def _may_ask(self) -> bool:
        """Whether it is this request's turn."""
        now = time.monotonic()
        if now < self._ask_again:
            return False
        self._ask_again = now + AWAY_SECONDS
        return True

    def _is_away(self, error: Exception) -> None:
        if not self._ask_again:
            log.warning("rate_limit_redis_away", error=type(error).__name__)
        if self._hits is not None:
            self._hits.forget_connections()  # each may be as dead, and would be waited for in turn
        self._ask_again = time.monotonic() + AWAY_SECONDS


class Hit:
    """A request that is counted by one limit. It is `sent` until its standing is known."""

    def __init__(
        self,
        counter: Counter,
        limit: Limit,
        who: str,
        sent: Sent | None,
        known: Standing | None = None,
    ) -> None:
        self.limit, self.sent = limit, sent
        self._counter, self._who = counter, who
        self._standing = known

    def standing(self) -> Standing:
        """How the limit stands with it; waits for Redis when it is asked first."""
        if self._standing is None:
            sent, self.sent = self.sent, None
            self._standing = self._counter.standing(self.limit, self._who, sent)
        return self._standing

    def drop(self) -> None:
        """Nobody will ask."""
        if self.sent is not None:
            self.sent.drop()
