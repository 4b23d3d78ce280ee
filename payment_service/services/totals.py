"""Keeps the summary that /metrics tells and the figures of the desk: folds deltas into totals, days
and hours, reads totals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Select, TextClause, func, select, text, tuple_
from sqlalchemy.exc import DataError

from payment_service.config import settings
from payment_service.extensions import db
from payment_service.models import PaymentTotal
from payment_service.models.totals import COUNTS, STANDING
from payment_service.services.moves.operations import providers
from payment_service.services.moves.rows import PAYMENT, TRANSACTION
from payment_service.services.moves.transitions import OPEN

log = structlog.get_logger(__name__)

LABELS = ("provider", "method", "currency", "status")

DAY_OF = "CAST({at} AT TIME ZONE :zone AS date)"
"""The day of a moment on the clocks of the business, in SQL."""
HOUR_OF = "date_trunc('hour', {at}, :zone)"
"""And when the hour of those clocks begins in which the moment lies."""

HOURS_SINCE = """
    (date_trunc('day', now() AT TIME ZONE :zone) - interval '7 days') AT TIME ZONE :zone
"""
"""From when on hours are kept: of today, and of the same weekday a week ago and what lies
between. It never moves back, so nobody reads an hour of which a part was deleted already."""

STANDS = ", ".join(STANDING)
SUM_OF_STANDING = ", ".join(f"sum({name}) AS {name}" for name in STANDING)
SOMETHING = f"({', '.join(f'sum({name})' for name in STANDING)}) <> (0, 0, 0)"
"""For HAVING: what adds nothing is not written."""


def adding_to(table: str, bucket: str) -> str:
    """The end of an INSERT into payment_days or payment_hours that adds to what stands there."""
    added = ", ".join(f"{name} = {table}.{name} + EXCLUDED.{name}" for name in STANDING)
    return f"ON CONFLICT ({bucket}, {', '.join(LABELS)}) DO UPDATE SET {added}"


def _into(table: str, bucket: str, bucket_of: str, where: str) -> str:
    labels = f"{bucket}, {', '.join(LABELS)}"
    at = bucket_of.format(at="at")
    return f"""
        INSERT INTO {table} ({labels}, {STANDS})
        SELECT {at} AS {labels}, {SUM_OF_STANDING} FROM gone WHERE {where}
        GROUP BY {labels} HAVING {SOMETHING} ORDER BY {labels}
        {adding_to(table, bucket)}
    """  # noqa: S608 - our own columns


# Deltas and what they are added to change in one transaction: a reader sees each move either not
# yet or once. Rows are met in one order, so that two workers don't wait for each other in a circle.
# A delta without a time was written by the code before 0011, and is in no day until `flask totals
# rebuild` (services/rebuilding).
_FOLD = f"""
    WITH gone AS (
        DELETE FROM total_deltas WHERE {{which}} RETURNING *
    ), days AS (
        {_into("payment_days", "day", DAY_OF, "at IS NOT NULL")}
    ), hours AS (
        {_into("payment_hours", "hour", HOUR_OF, f"at >= {HOURS_SINCE}")}
    ), summed AS (
        SELECT {{labels}}, {{sums}} FROM gone GROUP BY {{labels}}
    )
    INSERT INTO payment_totals ({{labels}}, {{names}})
    SELECT {{labels}}, {{names}} FROM summed ORDER BY {{labels}}
    ON CONFLICT ({{labels}}) DO UPDATE SET {{added}}
"""  # noqa: S608 - our own columns


def _fold(which: str) -> TextClause:
    sums = ", ".join(f"sum({name}) AS {name}" for name in COUNTS)
    added = ", ".join(f"{name} = payment_totals.{name} + EXCLUDED.{name}" for name in COUNTS)
    names, labels = ", ".join(COUNTS), ", ".join(LABELS)
    return text(_FOLD.format(which=which, labels=labels, sums=sums, names=names, added=added))


_ALL = _fold("true")
_GROUP = _fold(" AND ".join(f"{name} = :{name}" for name in LABELS))
_GROUPS = text(f"SELECT DISTINCT {', '.join(LABELS)} FROM total_deltas")  # noqa: S608
_REAP = text(f"DELETE FROM payment_hours WHERE hour < {HOURS_SINCE}")  # noqa: S608


@dataclass(frozen=True)
class Summary:
    """The totals' rows, how many payments a provider is at work on this moment by method, and how
    many requests have been unresolved for longer than RESOLUTION_ALARM_SECONDS, with the age of the
    oldest of them in seconds."""

    rows: list[Any]
    processing: dict[str, int]
    unresolved: int
    oldest_unresolved: float


def zone() -> str:
    """The IANA zone whose days and hours the figures are of."""
    return settings().business_timezone or settings().receipt_timezone


def run_once() -> dict[str, int]:
    """Folds the deltas that are there. Any number of workers may run it at once."""
    try:
        with db.engine.begin() as connection:
            return {"totals": connection.execute(_ALL, {"zone": zone()}).rowcount}
    except DataError:
        return {"totals": sum(_fold_group(group) for group in _groups())}


def _groups() -> list[dict[str, str]]:
    with db.engine.connect() as connection:
        return [dict(row) for row in connection.execute(_GROUPS).mappings()]


def _fold_group(group: dict[str, str]) -> int:
    """Folds one group's deltas by itself: one that can't be added must not keep the others."""
    try:
        with db.engine.begin() as connection:
            return connection.execute(_GROUP, group | {"zone": zone()}).rowcount
    except DataError as error:
        log.error("totals_not_folded", **group, why=str(error.orig).strip())
        return 0


def reap() -> dict[str, int]:
    """Deletes the hours that nobody looks at any more."""
    with db.engine.begin() as connection:
        return {"reaped": connection.execute(_REAP, {"zone": zone()}).rowcount}


def read() -> Summary:
    """The totals as /metrics shows them. It reads a few rows, however many payments there are."""
    at_work = (
        select(PAYMENT.c.method, func.count().label("payments"))
        .join_from(TRANSACTION, PAYMENT, TRANSACTION.c.payment_id == PAYMENT.c.payment_id)
        .where(TRANSACTION.c.status == "PROCESSING", TRANSACTION.c.type != "REFUND")
        .group_by(PAYMENT.c.method)
    )
    with db.engine.connect() as connection:
        totals = connection.execute(select(PaymentTotal.__table__)).all()
        unresolved = connection.execute(_unresolved()).one()
        return Summary(
            list(totals),
            {row.method: row.payments for row in connection.execute(at_work)},
            unresolved.requests,
            float(unresolved.oldest or 0),
        )


def _unresolved() -> Select[Any, Any]:
    """Open requests are few, and all of them are due for a look-up: that index has them. What a
    person has yet to hand back is nobody's alarm."""
    since = datetime.now(UTC) - timedelta(seconds=settings().resolution_alarm_seconds)
    return (
        select(
            func.count().label("requests"),
            func.extract("epoch", func.now() - func.min(TRANSACTION.c.created_at)).label("oldest"),
        )
        .select_from(TRANSACTION)
        .where(
            TRANSACTION.c.due_at.is_not(None),
            TRANSACTION.c.status.in_(OPEN),
            TRANSACTION.c.created_at < since,
            tuple_(TRANSACTION.c.provider, TRANSACTION.c.type).not_in(providers().by_hand()),
        )
    )
