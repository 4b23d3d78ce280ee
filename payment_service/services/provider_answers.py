"""What a payment's provider answered, to requests and to look-ups, as operators may read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from payment_service.extensions import db
from payment_service.models.columns import Sealed
from payment_service.models.keyring import NoKey, NotGenuine
from payment_service.services.moves.lookups import LOOKUP
from payment_service.services.moves.rows import TRANSACTION

SHOWN = 20_000
"""Characters of a payment's answers, so that its page stays small; the newest come first."""
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
        text = _opened(row.answer, row.reference)
        found[row.reference] = text if len(text) <= left else LATER
        left -= len(text)
    return found


def _opened(kept: Sealed, reference: str) -> str:
    try:
        return kept.opened(reference)
    except (NoKey, NotGenuine) as error:
        return f"can't be opened: {error}"
