"""Keeps the summary that /metrics tells: folds deltas into totals, reads totals."""

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
from payment_service.models.totals import COUNTS
from payment_service.services.moves.operations import providers
from payment_service.services.moves.rows import PAYMENT, TRANSACTION
from payment_service.services.moves.transitions import OPEN

log = structlog.get_logger(__name__)

# Deltas and totals change in one transaction: a reader sees each move either not yet or once.
_FOLD = """
    WITH gone AS (
        DELETE FROM total_deltas WHERE {which} RETURNING *
    ), summed AS (
        SELECT {labels}, {sums} FROM gone GROUP BY {labels}
    )
    INSERT INTO payment_totals ({labels}, {names})
    SELECT {labels}, {names} FROM summed ORDER BY {labels}
    ON CONFLICT ({labels}) DO UPDATE SET {added}
"""
_LABELS = ("provider", "method", "currency", "status")


def _fold(which: str) -> TextClause:
    sums = ", ".join(f"sum({name}) AS {name}" for name in COUNTS)
    added = ", ".join(f"{name} = payment_totals.{name} + EXCLUDED.{name}" for name in COUNTS)
    names, labels = ", ".join(COUNTS), ", ".join(_LABELS)
    return text(_FOLD.format(which=which, labels=labels, sums=sums, names=names, added=added))


_ALL = _fold("true")
_GROUP = _fold(" AND ".join(f"{name} = :{name}" for name in _LABELS))
_GROUPS = text(f"SELECT DISTINCT {', '.join(_LABELS)} FROM total_deltas")  # noqa: S608


@dataclass(frozen=True)
class Summary:
    """The totals' rows, how many payments a provider is at work on this moment by method, and how
    many requests have been unresolved for longer than RESOLUTION_ALARM_SECONDS."""

    rows: list[Any]
    processing: dict[str, int]
    unresolved: int


def run_once() -> dict[str, int]:
    """Folds the deltas that are there. Any number of workers may run it at once."""
    try:
        with db.engine.begin() as connection:
            return {"totals": connection.execute(_ALL).rowcount}
    except DataError:
        return {"totals": sum(_fold_group(group) for group in _groups())}


def _groups() -> list[dict[str, str]]:
    with db.engine.connect() as connection:
        return [dict(row) for row in connection.execute(_GROUPS).mappings()]


def _fold_group(group: dict[str, str]) -> int:
    """Folds one group's deltas by itself: one that can't be added must not keep the others."""
    try:
        with db.engine.begin() as connection:
            return connection.execute(_GROUP, group).rowcount
    except DataError as error:
        log.error("totals_not_folded", **group, why=str(error.orig).strip())
        return 0


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
        return Summary(
            list(totals),
            {row.method: row.payments for row in connection.execute(at_work)},
            connection.execute(_unresolved()).scalar_one(),
        )


def _unresolved() -> Select[int]:
    """Open requests are few, and all of them are due for a look-up: that index has them. What a
    person has yet to hand back is nobody's alarm."""
    since = datetime.now(UTC) - timedelta(seconds=settings().resolution_alarm_seconds)
    return (
        select(func.count())
        .select_from(TRANSACTION)
        .where(
            TRANSACTION.c.due_at.is_not(None),
            TRANSACTION.c.status.in_(OPEN),
            TRANSACTION.c.created_at < since,
            tuple_(TRANSACTION.c.provider, TRANSACTION.c.type).not_in(providers().by_hand()),
        )
    )
