"""Payment history that is imported while the service runs: rows to be charged by their id, and rows
beside the place of a trip that is paid already."""

from __future__ import annotations

import csv
import random
import secrets
from collections import Counter

from tests.campaign.load import RECENT, Market
from tests.campaign.stage import Stage

COLUMNS = ("payment_id", "trip_id", "amount", "method", "status", "reference", "created_at")
# Two that wait for one trip; one that waits beside what was paid; one that was paid.
KINDS = (("PENDING", "PENDING"), ("SUCCESS", "PENDING"), ("PENDING",))


class History:
    """Imports a few rows at a time. Trips that history has paid are nobody's before they are in."""

    def __init__(self, stage: Stage, market: Market, rng: random.Random) -> None:
        self._stage, self._market, self._rng = stage, market, rng
        self.done: Counter[str] = Counter()

    def comes_in(self) -> None:
        """One import; what may be charged of it is told to the callers."""
        fresh = {self._market.a_trip(self._rng): kind for kind in KINDS}
        # And a row that waits beside whatever these trips have here.
        known = dict.fromkeys(self._market.trips[-RECENT // 3 :], ("PENDING",))
        trips = known | fresh
        rows = [self._row(trip, status) for trip, kind in trips.items() for status in kind]
        path = self._stage.directory / "history.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
        done = self._stage.flask("seed", "--no-demo", "--payments", str(path))
        if done.returncode != 0:
            self.done["imports that met what was charged meanwhile"] += 1
            return
        self.done["imports of history"] += 1
        self._market.history += [row[0] for row in rows if row[4] == "PENDING"]
        self._market.trips += fresh

    def _row(self, trip: int, status: str) -> tuple[int, int, str, str, str, str, str]:
        with self._stage.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT nextval(pg_get_serial_sequence('payments', 'payment_id'))")
            (payment_id,) = cursor.fetchone()
        reference = f"OLD-{secrets.token_hex(6)}"
        return payment_id, trip, "55.00", "CARD", status, reference, "2025-01-31 10:11:12"
