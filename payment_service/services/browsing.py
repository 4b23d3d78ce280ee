"""Payments as a person looks through them: newest first, on to older ones and back, in one trip
that is given up after a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, bindparam, func, select, tuple_

from payment_service.queries import Query
from payment_service.schemas.lists import Cursor
from payment_service.services.browsing_filters import ByHand, wanted
from payment_service.services.moves.operations import providers
from payment_service.services.moves.rows import PAYMENT

ROWS = 50
"""A screen of a laptop or two; 20 KB of HTML."""
SECONDS = 2.0
"""Nobody waits longer for a list before they ask for something else."""

_SHOWN = [
    *(PAYMENT.c.payment_id, PAYMENT.c.trip_id, PAYMENT.c.order_id, PAYMENT.c.rider_id),
    *(PAYMENT.c.amount, PAYMENT.c.currency, PAYMENT.c.method, PAYMENT.c.provider),
    *(PAYMENT.c.status, PAYMENT.c.failure_code, PAYMENT.c.created_at),
]
_KEY = (PAYMENT.c.created_at, PAYMENT.c.payment_id)


@dataclass(frozen=True)
class Leaf:
    """Some rows, newest first, and the cursors of what lies on either side; None where nothing
    does."""

    rows: Sequence[Mapping[str, Any]]
    newer: Cursor | None
    older: Cursor | None


def look_through(
    *, filters: Mapping[str, Any], older: Cursor | None = None, newer: Cursor | None = None
) -> Leaf:
    """The newest payments that fit; or those before `older`, or right after `newer`.

    `filters` are those of listings.list_payments and of browsing_filters. Raises TookTooLong.
    """
    cursor, back = newer or older, newer is not None
    query, values = _asked(filters, cursor, back)
    found = query.rows_within(SECONDS, **values)
    rows, more = found[:ROWS], len(found) > ROWS
    if back and not more:  # the top is reached: its rows are those of the first page
        return look_through(filters=filters)
    if back:
        rows.reverse()
    if not rows:
        return Leaf([], None, None)
    first, last = (Cursor(row["created_at"], row["payment_id"]) for row in (rows[0], rows[-1]))
    return Leaf(rows, first if cursor else None, last if more or back else None)


def newer_than(*, filters: Mapping[str, Any], cursor: Cursor) -> int:
    """How many payments that fit stand above that row of the list; of more than ROWS, ROWS. Raises
    TookTooLong."""
    query, values = _asked(filters, cursor, True)
    return len(query.rows_within(SECONDS, **values)[:ROWS])


def plan(
    filters: Mapping[str, Any], cursor: Cursor | None = None, *, back: bool = False
) -> list[str]:
    """How PostgreSQL would find the page after the cursor; with `back`, the one before it."""
    query, values = _asked(filters, cursor, back)
    return query.plan(**values)


def _asked(
    filters: Mapping[str, Any], cursor: Cursor | None, back: bool
) -> tuple[Query, Mapping[str, Any]]:
    by_hand = tuple((name, str(kind)) for name, kind in providers().by_hand())
    status = filters.get("status")
    query = leafed(tuple(sorted(filters)), status, cursor is not None, back, by_hand)
    after = {"after_at": cursor.created_at, "after_id": cursor.row_id} if cursor else {}
    return query, {**filters, **after}


@lru_cache(maxsize=500)
def leafed(
    filters: tuple[str, ...], status: str | None, after: bool, back: bool, by_hand: ByHand
) -> Query:
    rows = select(*_SHOWN).where(*wanted(filters, status, by_hand))
    if after:
        kinds = {"after_at": PAYMENT.c.created_at.type, "after_id": BigInteger()}
        last = tuple_(*(bindparam(name, type_=kind, required=True) for name, kind in kinds.items()))
        rows = rows.where(tuple_(*_KEY) > last if back else tuple_(*_KEY) < last)
    order = [column.asc() if back else column.desc() for column in _KEY]
    return Query("look_through", rows.order_by(*order).limit(ROWS + 1), prepared=False)


_NEWEST = Query("newest_payment", select(func.max(PAYMENT.c.payment_id).label("payment_id")))


def newest_payment() -> int:
    """The highest payment id that there is; 0 where there is none."""
    row = _NEWEST.row()
    return (row and row["payment_id"]) or 0
