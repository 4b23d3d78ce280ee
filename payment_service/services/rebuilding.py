"""flask totals rebuild: payment_days and payment_hours made anew from payments, beside all else.

Why nothing is lost or counted twice, whoever charges and folds meanwhile. A move writes its payment
and its delta in one transaction, and a fold takes deltas away and adds them to a day in one
transaction. So in every snapshot of the database

    what stands in payments  =  what the day says  +  the deltas that wait

holds once the day is right, and nothing but a rebuild mends it where it is not. A rebuild takes, in
one statement and therefore in one snapshot, the difference between the two sides, and adds it to
the day. It writes no figure, it adds one: a fold that commits between that snapshot and the writing
has added its own to the same row, PostgreSQL waits for it and adds to what it left (READ
COMMITTED: ON CONFLICT DO UPDATE meets the newest version of the row), and a move that commits
meanwhile waits as a delta. Addition does not mind the order. Two rebuilds would both add the same
difference, so the second waits for the first to commit before it takes its snapshot.

Each day is a transaction of its own, and right from then on: a rebuild that is killed is run again,
and locks nobody but a fold of the same day, for as long as it writes.

Not counted are payments that are PROCESSING (the totals leave them out, see total_changes), and
deltas without a time, which no fold adds to a day: while the code before 0011 still writes or
folds, days fall short, and a rebuild after its end mends them. So it does after a change of
BUSINESS_TIMEZONE, once all processes know it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import TextClause, text

from payment_service.extensions import db
from payment_service.models.totals import STANDING
from payment_service.services import totals
from payment_service.services.totals import (
    DAY_OF,
    HOUR_OF,
    HOURS_SINCE,
    LABELS,
    SOMETHING,
    STANDS,
    SUM_OF_STANDING,
    adding_to,
)

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('totals rebuild'))")

# By the index on created_at: a little more than the day, in case clocks are changed at midnight.
_AROUND = """
    {at} >= CAST(CAST(:day AS date) AS timestamp) AT TIME ZONE :zone - interval '3 hours'
    AND {at} < CAST(CAST(:day AS date) + 1 AS timestamp) AT TIME ZONE :zone + interval '3 hours'
"""


def _rebuild(table: str, bucket: str, bucket_of: str, day_of_bucket: str) -> TextClause:
    labels = f"{bucket}, {', '.join(LABELS)}"
    taken = ", ".join(f"-{name}" for name in STANDING)
    words = ", ".join(LABELS)
    return text(f"""
        WITH sides AS (
            SELECT {bucket_of.format(at="created_at")} AS {bucket},
                coalesce(provider, 'none') AS provider, method, currency, status,
                1 AS payments, captured AS captured_now, refunded AS refunded_now
            FROM payments
            WHERE {_AROUND.format(at="created_at")} AND {DAY_OF.format(at="created_at")} = :day
                AND status <> 'PROCESSING'
            UNION ALL
            SELECT {bucket_of.format(at="at")}, {words}, {taken} FROM total_deltas
            WHERE {_AROUND.format(at="at")} AND {DAY_OF.format(at="at")} = :day
            UNION ALL
            SELECT {labels}, {taken} FROM {table} WHERE {day_of_bucket}
        )
        INSERT INTO {table} ({labels}, {STANDS})
        SELECT {labels}, {SUM_OF_STANDING} FROM sides
        GROUP BY {labels} HAVING {SOMETHING} ORDER BY {labels}
        {adding_to(table, bucket)}
    """)  # noqa: S608 - our own columns


_DAY = _rebuild("payment_days", "day", DAY_OF, "day = :day")
_HOURS = _rebuild(
    "payment_hours",
    "hour",
    HOUR_OF,
    f"{_AROUND.format(at='hour')} AND {DAY_OF.format(at='hour')} = :day",
)
_NEXT_DAY = text(f"""
    SELECT least(
        (SELECT {DAY_OF.format(at="min(created_at)")} FROM payments
         WHERE created_at >= CAST(CAST(:after AS date) + 1 AS timestamp) AT TIME ZONE :zone),
        (SELECT min(day) FROM payment_days WHERE day > :after))
""")  # noqa: S608
_KEPT = text(f"""
    SELECT {DAY_OF.format(at=HOURS_SINCE)} AS first, {DAY_OF.format(at="now()")} AS last
""")


@dataclass(frozen=True)
class Rebuilt:
    """How many days there are, and how many rows of days and of hours were wrong."""

    days: int
    wrong_days: int
    wrong_hours: int


def rebuild() -> Rebuilt:
    """Makes all days, and the hours of those of which hours are kept, say what payments say. Any
    number may run at once, beside any number of workers and charges."""
    totals.run_once()
    days = wrong_days = 0
    for day in _days():
        days += 1
        wrong_days += _add_difference(_DAY, day)
    totals.reap()
    return Rebuilt(days, wrong_days, sum(_add_difference(_HOURS, day) for day in _days_of_hours()))


def _add_difference(statement: TextClause, day: date) -> int:
    with db.engine.begin() as connection:
        connection.execute(_ONE_AT_A_TIME)
        return connection.execute(statement, {"day": day, "zone": totals.zone()}).rowcount


def _days() -> Iterator[date]:
    """The days on which payments were made, or of which a row says so, from the first on."""
    after = date.min
    while found := _one(_NEXT_DAY, after=after)[0]:
        after = max(found, after + timedelta(days=1))
        yield after


def _days_of_hours() -> Iterator[date]:
    first, last = _one(_KEPT)
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def _one(query: TextClause, **values: Any) -> Any:
    with db.engine.connect() as connection:
        return connection.execute(query, values | {"zone": totals.zone()}).one()
