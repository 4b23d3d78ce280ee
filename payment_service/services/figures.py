"""The figures of the desk: of payments by hour, day, status, method and provider, from the few rows
that services/totals keeps of them, however many payments there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from payment_service import replica
from payment_service.domain.vocabulary import CAPTURED, PaymentStatus
from payment_service.extensions import db
from payment_service.services import totals
from payment_service.services.moves.operations import providers
from payment_service.services.totals import DAY_OF, HOUR_OF, HOURS_SINCE

Key = TypeVar("Key", str, date, datetime)

DAYS = 30
WEEK = timedelta(days=7)
WENT_WELL = frozenset({*CAPTURED, PaymentStatus.AUTHORIZED})
WENT_WRONG = frozenset({PaymentStatus.FAILED, PaymentStatus.EXPIRED})
"""What a success rate is made of. A payment that waits is neither, nor is one that was cancelled:
nobody was refused."""


@dataclass(frozen=True)
class Sums:
    """Payments, and how many of them went well or wrong; what of them stands captured and given
    back, in minor units by currency."""

    payments: int
    well: int
    wrong: int
    captured: Mapping[str, int]
    refunded: Mapping[str, int]

    @property
    def success_rate(self) -> float | None:
        """From 0 to 1; None while nothing is decided."""
        decided = self.well + self.wrong
        return self.well / decided if decided else None


@dataclass(frozen=True)
class Refunds:
    """Refunds that succeeded of those asked for in some time, in minor units by currency."""

    count: int
    amounts: Mapping[str, int]


@dataclass(frozen=True)
class Speed:
    """Below how many seconds 95 of 100 charges were answered, and of how many charges that is the
    figure; None without any."""

    p95_seconds: float | None
    charges: int


@dataclass(frozen=True)
class Figures:
    """`day` is today on the clocks of `zone`. A payment counts in the hour and day in which it was
    made, as it stands now.

    `last_week` is the same weekday a week ago; `last_week_by_now` of it the hours up to the end of
    the one that runs now, to hold today against. `by_hour` has the hours of today from the first to
    this one, by the moments at which they begin, and `by_day` the last 30 days, today included;
    both have zeros where nothing was. `refunds` are asked for today until now, and
    `refunds_last_week_by_now` a week ago until the same time.
    """

    zone: str
    day: date
    read_at: datetime
    today: Sums
    last_week: Sums
    last_week_by_now: Sums
    refunds: Refunds
    refunds_last_week_by_now: Refunds
    by_hour: Mapping[datetime, Sums]
    by_day: Mapping[date, Sums]
    by_status: Mapping[str, Sums]
    by_method: Mapping[str, Sums]
    by_provider: Mapping[str, Sums]
    speed: Speed


_BY_DAY = text("""
    SELECT day, provider, method, currency, status, payments, captured_now, refunded_now
    FROM payment_days WHERE day = :today
    UNION ALL
    SELECT day, '', '', currency, status, sum(payments), sum(captured_now), sum(refunded_now)
    FROM payment_days WHERE day BETWEEN :first AND :today - 1 GROUP BY day, currency, status
""")
_BY_HOUR = text(f"""
    SELECT hour, currency, status, sum(payments) AS payments,
           sum(captured_now) AS captured_now, sum(refunded_now) AS refunded_now
    FROM payment_hours
    WHERE hour >= {HOURS_SINCE}
        AND {DAY_OF.format(at="hour")} IN (CAST(:today AS date), CAST(:today AS date) - 7)
    GROUP BY hour, currency, status
""")  # noqa: S608
# No delta counts these (services/moves/total_changes): they are few, and an index has just them.
_AT_WORK = text(f"""
    SELECT {DAY_OF.format(at="p.created_at")} AS day, {HOUR_OF.format(at="p.created_at")} AS hour,
           coalesce(p.provider, 'none') AS provider, p.method, p.currency, p.status,
           count(*) AS payments, 0 AS captured_now, 0 AS refunded_now
    FROM transactions t JOIN payments p USING (payment_id)
    WHERE t.status = 'PROCESSING' AND t.type <> 'REFUND' AND p.status = 'PROCESSING'
        AND {DAY_OF.format(at="p.created_at")} BETWEEN :first AND CAST(:today AS date)
    GROUP BY 1, 2, 3, 4, 5, 6
""")  # noqa: S608
_REFUNDS = text("""
    SELECT currency, count(*) AS refunds, sum(amount) AS amount FROM refunds
    WHERE created_at >= :since AND created_at < :until AND status = 'SUCCESS' GROUP BY currency
""")
# From begin to finish, both by our clock, of charges that ended in the request that asked for them:
# none was looked up, and none later than an answer can come in. Of a payer who acted within that
# time the figure holds the wait, too. The newest thousand payments are looked at, so that it costs
# the same whatever they are.
_SPEED = text("""
    SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95, count(*) AS charges FROM (
        SELECT extract(epoch FROM p.completed_at - t.created_at) AS seconds
        FROM (
            SELECT payment_id, created_at, completed_at, status FROM payments
            ORDER BY created_at DESC, payment_id DESC LIMIT 1000
        ) AS p CROSS JOIN LATERAL (
            SELECT * FROM transactions WHERE payment_id = p.payment_id AND number = 1 LIMIT 1
        ) AS t
        WHERE t.type = 'CHARGE' AND t.status IN ('SUCCESS', 'FAILED') AND t.lookups = 0
            AND p.status IN ('SUCCESS', 'PARTIALLY_REFUNDED', 'REFUNDED', 'FAILED')
            AND p.completed_at BETWEEN t.created_at
                AND t.send_before + make_interval(secs => :longest)
        ORDER BY p.created_at DESC, p.payment_id DESC LIMIT 500
    ) AS answered
""")


def read(*, now: datetime | None = None) -> Figures:
    """The figures as they stood at the worker's last fold."""
    moment = (now or datetime.now(UTC)).astimezone(ZoneInfo(totals.zone()))
    return replica.answer(lambda pool: _read(pool, moment), None)


def _read(pool: str | None, moment: datetime) -> Figures:
    today = moment.date()
    values = {"zone": totals.zone(), "today": today, "first": today - timedelta(days=DAYS - 1)}
    with db.engines[pool].connect() as connection:
        days = connection.execute(_BY_DAY, values).all()
        hours = connection.execute(_BY_HOUR, values).all()
        at_work = connection.execute(_AT_WORK, values).all()
        speed = connection.execute(_SPEED, {"longest": providers().longest_timeout()}).one()
        given = _refunds(connection, moment)
        given_then = _refunds(connection, moment - WEEK)
    of_today = [row for row in [*days, *at_work] if row.day == today]
    then = [row for row in hours if _local(row.hour).date() == today - WEEK]
    by_now = [row for row in then if _local(row.hour).hour <= moment.hour]
    hours_today = [row for row in hours if _local(row.hour).date() == today]
    return Figures(
        zone=totals.zone(),
        day=today,
        read_at=moment.astimezone(UTC),
        today=_sums(of_today),
        last_week=_sums(row for row in [*days, *at_work] if row.day == today - WEEK),
        last_week_by_now=_sums(by_now),
        refunds=given,
        refunds_last_week_by_now=given_then,
        by_hour=_each(
            [*hours_today, *(row for row in at_work if row.day == today)],
            lambda row: row.hour.astimezone(UTC),
            _hours_until(moment),
        ),
        by_day=_each(
            [*days, *at_work],
            lambda row: row.day,
            [today - timedelta(days=back) for back in reversed(range(DAYS))],
        ),
        by_status=_each(of_today, lambda row: row.status),
        by_method=_each(of_today, lambda row: row.method),
        by_provider=_each(of_today, lambda row: row.provider),
        speed=Speed(None if speed.p95 is None else float(speed.p95), speed.charges),
    )


def _local(moment: datetime) -> datetime:
    return moment.astimezone(ZoneInfo(totals.zone()))


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


def _hours_until(moment: datetime) -> list[datetime]:
    """The moments at which today's hours begin on the clocks, until now."""
    hour, last = _midnight(moment).astimezone(UTC), moment.astimezone(UTC)
    found = []
    while hour <= last:
        found.append(hour)
        hour += timedelta(hours=1)
    return found


def _refunds(connection: Connection, until: datetime) -> Refunds:
    values = {"since": _midnight(until), "until": until}
    rows = connection.execute(_REFUNDS, values).all()
    amounts = {row.currency: int(row.amount) for row in rows}
    return Refunds(sum(row.refunds for row in rows), amounts)


def _each(
    rows: Iterable[Any], key: Callable[[Any], Key], all_keys: Iterable[Key] = ()
) -> dict[Key, Sums]:
    """The sums by key, with zeros for those of `all_keys` that have none; in order."""
    found: dict[Key, list[Any]] = {one: [] for one in all_keys}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return {one: _sums(rows_of) for one, rows_of in sorted(found.items())}


def _sums(rows: Iterable[Any]) -> Sums:
    counts: dict[str, int] = defaultdict(int)
    captured: dict[str, int] = defaultdict(int)
    refunded: dict[str, int] = defaultdict(int)
    for row in rows:
        n = int(row.payments)
        counts["payments"] += n
        counts["well"] += n if row.status in WENT_WELL else 0
        counts["wrong"] += n if row.status in WENT_WRONG else 0
        for sums, amount in ((captured, row.captured_now), (refunded, row.refunded_now)):
            if amount:
                sums[row.currency] += int(amount)
    return Sums(counts["payments"], counts["well"], counts["wrong"], dict(captured), dict(refunded))
