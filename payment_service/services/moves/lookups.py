"""The row of each look-up: when a provider was asked, how long it took and what it knew. A note for
people: nothing is decided by it, and a look-up goes on without it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import structlog
from sqlalchemy import LargeBinary, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from payment_service.domain.vocabulary import Found
from payment_service.extensions import db
from payment_service.http.hearing import Heard
from payment_service.models import Lookup
from payment_service.models.columns import Encrypted
from payment_service.providers.contract import Result
from payment_service.services.moves import heard as hearsay
from payment_service.services.moves.rows import TransactionRow
from payment_service.telemetry import metrics

log = structlog.get_logger(__name__)

LOOKUP = Lookup.__table__
TRIES = 5
"""Two that look up at once take the same n; the second takes the next."""

_ANSWER = cast(Encrypted, LOOKUP.c.answer.type)


def note(transaction: TransactionRow, heard: Heard, found: Result | Found) -> None:
    """Writes it down, if somebody was asked. What goes wrong is logged and raises nothing: what was
    looked up is worth more than its note."""
    if not heard.called:
        return
    metrics.LOOKUPS.labels(transaction["provider"], _found(found)).inc()
    try:
        _write(transaction, heard, found)
    except Exception:
        log.exception("look_up_not_noted", reference=transaction["reference"])


def _found(found: Result | Found) -> Found:
    return Found(found.outcome if isinstance(found, Result) else found)


def _write(transaction: TransactionRow, heard: Heard, found: Result | Found) -> None:
    took = heard.spent() if heard.ms is None else heard.ms
    row: dict[str, Any] = {
        "payment_id": transaction["payment_id"],
        "number": transaction["number"],
        "asked_at": datetime.now(UTC) - timedelta(milliseconds=took),
        "ms": took,
        "found": _found(found),
    }
    with db.engine.begin() as connection:
        for _ in range(TRIES):
            of_request = (
                LOOKUP.c.payment_id == row["payment_id"],
                LOOKUP.c.number == row["number"],
            )
            last = connection.scalar(select(func.max(LOOKUP.c.n)).where(*of_request))
            row["n"] = (last or 0) + 1
            row["reference"] = f"{transaction['reference']}/{row['n']}"
            if heard.body and row["found"] is not Found.APPROVED:
                kept = hearsay.sealed(heard.body, row["reference"], _ANSWER)
                row["answer"] = literal(kept, LargeBinary)
            written = insert(LOOKUP).values(row).on_conflict_do_nothing()
            if connection.execute(written.returning(LOOKUP.c.n)).first():
                return
    log.warning("look_up_not_noted", reference=transaction["reference"], why="too many at once")
