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
from payment_service.services.listings import wanted_rows
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
_BOUNDS = {"amount_from": PAYMENT.c.amount.__ge__, "amount_to": PAYMENT.c.amount.__le__}


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

    `filters` are those of listings.list_payments, and amount_from and amount_to, in minor units.
    Raises TookTooLong.
    """
    cursor, back = newer or older, newer is not None
    status = filters.get("status")
    query = leafed(tuple(sorted(filters)), status, cursor is not None, back)
    values = dict(filters)
    if cursor:
        values |= {"after_at": cursor.created_at, "after_id": cursor.row_id}
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


@lru_cache(maxsize=500)
def leafed(filters: tuple[str, ...], status: str | None, after: bool, back: bool) -> Query:
    rows = select(*_SHOWN)
    for name in filters:
        if bound := _BOUNDS.get(name):
            rows = rows.where(bound(bindparam(name, type_=BigInteger, required=True)))
        else:
            rows = rows.where(wanted_rows(PAYMENT, name, status))
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
