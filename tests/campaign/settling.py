"""When time is up: the bank decides what waits, and all that is owed comes to its end by itself."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.campaign import timing
from tests.campaign.faulty import Levers
from tests.campaign.load import Market
from tests.campaign.stage import Stage

BANK_SECONDS = 3.0

# What must come to zero by itself. Refunds in cash wait for a person; nobody asks for one here.
_OPEN = {
    "payments under way": "SELECT count(*) FROM payments WHERE status IN"
    " ('PROCESSING', 'REQUIRES_ACTION', 'AUTHORIZED') OR (live AND expires_at IS NOT NULL)",
    "requests without an outcome": "SELECT count(*) FROM transactions"
    " WHERE status IN ('PROCESSING', 'REQUIRES_ACTION')",
    "events to deliver": "SELECT count(*) FROM deliveries WHERE done_at IS NULL",
    "totals to fold": "SELECT count(*) FROM total_deltas",
}
# What was surely not received is looked up for another day, the first time after a minute. In the
# campaign's database that minute is over at once.
_WATCHED = """
    UPDATE transactions SET due_at = now() WHERE status = 'FAILED' AND due_at IS NOT NULL
    RETURNING payment_id, number, lookups
"""
_STILL = "SELECT payment_id, number, lookups FROM transactions WHERE status = 'FAILED'"


class Bank:
    """Decides now and then about what waits for the payer or the bank."""

    def __init__(self, levers: Levers, rng: random.Random) -> None:
        self._levers, self._rng = levers, rng
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join(30)

    def decide(self, share: float) -> None:
        """Decides that share of what waits."""
        for noun in ("charges", "refunds"):
            for found in self._levers.books(noun):
                waits = found["state"] in ("pending", "requires_action")
                if waits and self._rng.random() < share:
                    outcome = self._rng.choice(["approve", "approve", "decline"])
                    self._levers.decide(found["reference"], outcome)

    def _work(self) -> None:
        while not self._over.wait(BANK_SECONDS):
            self.decide(0.4)


def settle(
    stage: Stage, market: Market, bank: Bank, levers: Levers, check: Callable[[], None]
) -> dict[str, int]:
    """Waits until nothing is under way any more, and says what still is if that takes too long."""
    deadline = time.monotonic() + timing.SETTLED_SECONDS
    left: dict[str, int] = {}
    looked = False
    with stage.connect() as connection:
        while time.monotonic() < deadline:
            check()
            bank.decide(1.0)
            left = _left(connection, market, levers)
            if any(left.values()):
                time.sleep(0.5)
            elif not looked:
                _look_once_more(connection, deadline)
                looked = True  # and what that brought to light must settle too
            else:
                return left
    market.giving_up.set()
    return {**left, "time is over": 1}


def _left(connection: Any, market: Market, levers: Levers) -> dict[str, int]:
    left = {name: int(_rows(connection, query)[0][0]) for name, query in _OPEN.items()}
    return left | {"callers waiting": len(market.told.owed()), "late requests": levers.late()}


def _look_once_more(connection: Any, deadline: float) -> None:
    """Each request that was given up is looked up again, for evidence that came since."""
    before = {(row[0], row[1]): row[2] for row in _rows(connection, _WATCHED)}
    while before and time.monotonic() < deadline:
        now = {(row[0], row[1]): row[2] for row in _rows(connection, _STILL)}
        before = {key: n for key, n in before.items() if key in now and now[key] <= n}
        time.sleep(0.3)


def _rows(connection: Any, query: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())
