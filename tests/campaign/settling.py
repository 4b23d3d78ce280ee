"""When time is up: the bank decides what waits, and all that is owed comes to its end by itself."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg2
import requests

from tests.campaign import timing
from tests.campaign.dialects import Dialect
from tests.campaign.dialects.dialect import bank_decides
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
    "webhooks to take in": "SELECT count(*) FROM webhooks WHERE status IN ('RECEIVED', 'FAILED')",
    "paid twice and not given back": "SELECT count(*) FROM transactions c WHERE type = 'CHARGE'"
    " AND cause = 'paid_twice' AND NOT EXISTS (SELECT FROM transactions r WHERE"
    " (r.payment_id, r.type, r.status) = (c.payment_id, 'REFUND', 'SUCCESS')"
    " AND r.cause = 'paid_twice' AND r.description = c.reference)",
}
# Those that a person gives.
_BY_HAND = """
    SELECT refund_id FROM refunds JOIN payments USING (payment_id)
    WHERE refunds.status = 'PENDING' AND provider = ANY(%s)
"""
# Those that a provider took and now knows nothing of: its books say that it gave nothing.
_DENIED = """
    SELECT refund_id FROM refunds r JOIN transactions t
    ON (t.payment_id, t.number) = (r.payment_id, r.transaction_number)
    WHERE r.status = 'PENDING' AND t.provider = ANY(%s)
    AND t.provider_reference IS NOT NULL AND t.not_found_at IS NOT NULL
"""
# What was surely not received is looked up for another day, the first time after a minute. In the
# campaign's database that minute is over at once.
_WATCHED = """
    UPDATE transactions SET due_at = now() WHERE status = 'FAILED' AND due_at IS NOT NULL
    RETURNING payment_id, number, lookups
"""
_STILL = "SELECT payment_id, number, lookups FROM transactions WHERE status = 'FAILED'"


class Bank:
    """Decides now and then about what waits for the payer, the bank, or a person of ours."""

    def __init__(self, stage: Stage, market: Market, rng: random.Random) -> None:
        self._stage, self._market, self._levers, self._rng = stage, market, market.levers, rng
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join(120)

    def decide(self, share: float) -> None:
        """Decides that share of what waits."""
        for noun in ("charges", "refunds"):
            for found in self._levers.books(noun):
                waits = found["state"] in ("pending", "requires_action")
                if waits and self._rng.random() < share:
                    outcome = self._rng.choice(["approve", "approve", "decline"])
                    self._levers.decide(found["reference"], outcome)
        for dialect in self._stage.dialects:
            # Whoever is away is asked next time.
            with contextlib.suppress(requests.RequestException, psycopg2.Error):
                self._decide_at(dialect, share)

    def call_again(self) -> None:
        """Those who tell their news again later do it now."""
        url = self._stage.sandbox.url
        for dialect in self._stage.dialects:
            dialect.call_again(url, dialect.open_books(url))

    def _decide_at(self, dialect: Dialect, share: float) -> None:
        url = self._stage.sandbox.url
        for reference in dialect.bank(url, dialect.open_books(url), self._rng, share):
            self._market.payers.said(reference)
        if dialect.by_hand:
            for refund_id in self._waiting(_BY_HAND, dialect):
                yes = bank_decides(self._rng, share)
                if yes is not None:
                    self._says(refund_id, yes)
        if dialect.denies_silently:
            for refund_id in self._waiting(_DENIED, dialect):
                self._says(refund_id, False)

    def _waiting(self, query: str, dialect: Dialect) -> list[int]:
        with self._stage.connect() as connection:
            return [row[0] for row in _rows(connection, query, [dialect.name])]

    def _says(self, refund_id: int, yes: bool) -> None:
        """A person of ours does."""
        place = f"{self._market.url}/v1/refunds/{refund_id}/status"
        said = {"status": "SUCCESS" if yes else "FAILED"}
        requests.patch(place, json=said, timeout=timing.CALLER_TIMEOUT_SECONDS)

    def _work(self) -> None:
        while not self._over.wait(BANK_SECONDS):
            self.decide(0.4)


def settle(
    stage: Stage,
    market: Market,
    bank: Bank,
    levers: Levers,
    at_work: Callable[[], int],
    check: Callable[[], None],
    seconds: float = timing.SETTLED_SECONDS,
) -> dict[str, int]:
    """Waits until nothing is under way any more, and says what still is if that takes too long."""
    deadline = time.monotonic() + seconds
    left: dict[str, int] = {}
    looked = False
    with stage.connect() as connection:
        while time.monotonic() < deadline:
            check()
            bank.decide(1.0)
            # First, because the last thing that a caller asks may follow on one that is answered.
            callers = at_work()
            left = {"callers at work": callers} | _left(connection, market, levers)
            if any(left.values()):
                time.sleep(0.5)
            elif not looked:
                bank.call_again()
                _look_once_more(connection, deadline)
                looked = True  # and what that brought to light must settle too
            else:
                return left
    market.giving_up.set()
    return {**left, "time is over": 1}


def _left(connection: Any, market: Market, levers: Levers) -> dict[str, int]:
    left = {name: int(_rows(connection, query)[0][0]) for name, query in _OPEN.items()}
    # One that waits to be sent behind the next one of its provider waits for good by now.
    waiting = [one for one in levers.webhooks() if one["status"] == "waiting"]
    return left | {
        "callers waiting": len(market.told.owed()),
        "late requests": levers.late(),
        "payers on pages": market.payers.on_their_way(),
        "webhooks to send": sum(one["fault"] != "after_the_next" for one in waiting),
    }


def _look_once_more(connection: Any, deadline: float) -> None:
    """Each request that was given up is looked up again, for evidence that came since."""
    before = {(row[0], row[1]): row[2] for row in _rows(connection, _WATCHED)}
    while before and time.monotonic() < deadline:
        now = {(row[0], row[1]): row[2] for row in _rows(connection, _STILL)}
        before = {key: n for key, n in before.items() if key in now and now[key] <= n}
        time.sleep(0.3)


def _rows(connection: Any, query: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
