"""Keeps the summary that /metrics tells: folds deltas into totals, reads totals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select, text

from payment_service.config import settings
from payment_service.extensions import db
from payment_service.models import PaymentTotal
from payment_service.models.totals import COUNTS
from payment_service.providers.cash import CashProvider
from payment_service.services.rows import PAYMENT, TRANSACTION
from payment_service.services.transitions import OPEN

_SUMS = ", ".join(f"sum({name}) AS {name}" for name in COUNTS)
_ADDED = ", ".join(f"{name} = payment_totals.{name} + EXCLUDED.{name}" for name in COUNTS)
_NAMES = ", ".join(COUNTS)

# Deltas and totals change in one transaction: a reader sees each move either not yet or once.
_FOLD = f"""
    WITH gone AS (
        DELETE FROM total_deltas RETURNING *
    ), summed AS (
        SELECT provider, method, currency, status, {_SUMS} FROM gone
        GROUP BY provider, method, currency, status
    )
    INSERT INTO payment_totals (provider, method, currency, status, {_NAMES})
    SELECT provider, method, currency, status, {_NAMES} FROM summed
    ORDER BY provider, method, currency, status
    ON CONFLICT (provider, method, currency, status) DO UPDATE SET {_ADDED}
"""  # noqa: S608 (names of columns only)


@dataclass(frozen=True)
class Summary:
    """The totals' rows, how many payments a provider is at work on this moment by method, and how
    many requests have been unresolved for longer than RESOLUTION_ALARM_SECONDS."""

    rows: list[Any]
    processing: dict[str, int]
    unresolved: int


def run_once() -> dict[str, int]:
    """Folds the deltas that are there. Any number of workers may run it at once."""
    with db.engine.begin() as connection:
        folded = connection.execute(text(_FOLD)).rowcount
    return {"totals": folded}


def read() -> Summary:
    """Small reads, whatever the number of payments."""
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
    """Open requests are few, and all of them are due for a look-up: that index has them. Cash
    that a person has yet to hand back is nobody's alarm."""
    since = datetime.now(UTC) - timedelta(seconds=settings().resolution_alarm_seconds)
    return (
        select(func.count())
        .select_from(TRANSACTION)
        .where(
            TRANSACTION.c.due_at.is_not(None),
            TRANSACTION.c.status.in_(OPEN),
            TRANSACTION.c.created_at < since,
            TRANSACTION.c.provider != CashProvider.name,
        )
    )
