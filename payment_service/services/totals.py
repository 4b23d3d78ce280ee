"""Keeps the summary that /metrics tells: folds deltas into totals, reads totals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text

from payment_service.extensions import db
from payment_service.models import PaymentTotal
from payment_service.models.totals import COUNTS
from payment_service.services.rows import TRANSACTION

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
    """The totals' rows, and how many payments a provider is at work on this moment."""

    rows: list[Any]
    processing: int


def run_once() -> dict[str, int]:
    """Folds the deltas that are there. Any number of workers may run it at once."""
    with db.engine.begin() as connection:
        folded = connection.execute(text(_FOLD)).rowcount
    return {"totals": folded}


def read() -> Summary:
    """Two small reads, whatever the number of payments."""
    at_work = (
        select(func.count())
        .select_from(TRANSACTION)
        .where(TRANSACTION.c.status == "PROCESSING", TRANSACTION.c.type != "REFUND")
    )
    with db.engine.connect() as connection:
        totals = connection.execute(select(PaymentTotal.__table__)).all()
        return Summary(list(totals), connection.execute(at_work).scalar_one())
