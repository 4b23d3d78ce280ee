"""What a payment's provider answered, to requests and to look-ups, as operators may read it, for
WEBHOOK_KEEP_DAYS."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from payment_service.config import settings
from payment_service.extensions import db
from payment_service.models.columns import Sealed
from payment_service.models.keyring import NoKey, NotGenuine
from payment_service.services.moves.lookups import LOOKUP
from payment_service.services.moves.rows import TRANSACTION

SHOWN = 10_000
"""Characters of a payment's answers, so that its page stays below 60 KB; the newest come first."""
REAPED_AT_ONCE = 1000
LATER = "too long to be shown beside the later ones"


def of(payment_id: int) -> Mapping[str, str]:
    """The answers that are kept, masked, by the reference of the request or look-up."""
    asked = select(
        TRANSACTION.c.reference, TRANSACTION.c.answer, TRANSACTION.c.created_at.label("at")
    )
    asked = asked.where(TRANSACTION.c.payment_id == payment_id, TRANSACTION.c.answer.is_not(None))
    looked = select(LOOKUP.c.reference, LOOKUP.c.answer, LOOKUP.c.asked_at.label("at"))
    looked = looked.where(LOOKUP.c.payment_id == payment_id, LOOKUP.c.answer.is_not(None))
    with db.engine.connect() as connection:
        rows: list[Any] = [*connection.execute(asked), *connection.execute(looked)]
    left, found = SHOWN, {}
    for row in sorted(rows, key=lambda row: row.at, reverse=True):
        words = _opened(row.answer, row.reference)
        found[row.reference] = words if len(words) <= left else LATER
        left -= len(words)
    return found


def reap() -> dict[str, int]:
    """Deletes the look-ups, and what was answered to requests, of before WEBHOOK_KEEP_DAYS. The
    requests stay, with their times and HTTP statuses."""
    over = datetime.now(UTC) - timedelta(days=settings().webhook_keep_days)
    with db.engine.begin() as connection:
        values = {"over": over, "at_once": REAPED_AT_ONCE}
        counts = [connection.execute(gone, values).rowcount for gone in (_LOOK_UPS, _ANSWERS)]
    return {"reaped": sum(counts), "more": max(counts) // REAPED_AT_ONCE}


_LOOK_UPS = text("""
    DELETE FROM lookups WHERE reference IN (
        SELECT reference FROM lookups WHERE asked_at < :over
        ORDER BY asked_at LIMIT :at_once FOR UPDATE SKIP LOCKED)
""")
# What a move holds locked is left for the next time: nobody's charge waits for this.
_ANSWERS = text("""
    UPDATE transactions SET answer = NULL WHERE (payment_id, number) IN (
        SELECT payment_id, number FROM transactions WHERE answer IS NOT NULL AND created_at < :over
        ORDER BY created_at LIMIT :at_once FOR UPDATE SKIP LOCKED)
""")


def _opened(kept: Sealed, reference: str) -> str:
    try:
        return kept.opened(reference)
    except (NoKey, NotGenuine) as error:
        return f"can't be opened: {error}"
