"""Payments of the replaced database that moved since the backup come back, row by row as they
stood there: under their old ids and references, with their requests, refunds, events and what is
still to be delivered."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError

from payment_service.extensions import db
from payment_service.models import (
    Contradiction,
    Delivery,
    Dispute,
    DisputeMovement,
    Event,
    ImportSeal,
    total_deltas,
)
from payment_service.services import audit_reading, audit_rows
from payment_service.services.moves import total_changes
from payment_service.services.moves.lookups import LOOKUP
from payment_service.services.moves.refund_holds import REQUEST
from payment_service.services.moves.rows import (
    PAYMENT,
    PAYMENT_COLUMNS,
    REFUND,
    TRANSACTION,
    EventRow,
    PaymentRow,
    payment_row,
)
from payment_service.services.replaced_database import PAGE, putting, rows_of

CHUNK = 100
"""Payments a transaction: some hundred rows, and a lock that is short."""

EVENT = Event.__table__
# In this order, because the later ones point to the earlier ones.
TABLES = (
    *(PAYMENT, ImportSeal.__table__, TRANSACTION, LOOKUP, REFUND, REQUEST, EVENT),
    *(Delivery.__table__, Contradiction.__table__, Dispute.__table__, DisputeMovement.__table__),
)

_PAGE = text("""
    SELECT payment_id, version, share, reference, encode(audit_head, 'hex') AS head FROM payments
    WHERE payment_id > :after ORDER BY payment_id LIMIT :page
""")
# An import of a trip's history moves a PENDING payment aside, which changes nothing but its share.
_OTHERS = text("""
    SELECT n.payment_id, p.payment_id IS NULL AS unknown, p.version,
           encode(p.audit_head, 'hex') AS head, p.reference <> n.reference AS another
    FROM json_to_recordset(CAST(:rows AS json))
        AS n(payment_id bigint, version integer, share smallint, reference text, head text)
    LEFT JOIN payments p USING (payment_id)
    WHERE p.payment_id IS NULL OR p.reference <> n.reference OR p.version < n.version
       OR (p.version = n.version
           AND (p.share <> n.share OR encode(p.audit_head, 'hex') IS DISTINCT FROM n.head))
    ORDER BY n.payment_id
""")
_LINK = text("""
    SELECT encode(chain, 'hex') FROM events WHERE payment_id = :payment_id AND seq = :seq
""")


def bring_back(replaced: Connection) -> tuple[int, dict[int, str]]:
    """How many payments came back, and why others did not, by id: those stay as in the backup.

    The rows of the replaced database are believed only where their chain of events fits, and goes
    on from that of the backup.
    """
    came, refused, crossed = 0, {}, []
    for found in _others(replaced):
        good = []
        for row in found:
            if why := _why_not(replaced, row):
                refused[row.payment_id] = why
            else:
                good.append(row.payment_id)
        for start in range(0, len(good), CHUNK):
            ids = good[start : start + CHUNK]
            left = _carry(replaced, ids)
            came += len(ids) - len(left)
            crossed += left
    # A trip's live payment of then may be dead by now, and stand in the way only until it came.
    while crossed:
        left = [payment_id for payment_id in crossed if _carry(replaced, [payment_id])]
        came += len(crossed) - len(left)
        if len(left) == len(crossed):
            break
        crossed = left
    why = "another payment of the backup lives for its trip or order, or has its reference"
    return came, refused | dict.fromkeys(crossed, why)


def _others(replaced: Connection) -> Iterator[list[Any]]:
    """The payments whose rows differ between the replaced database and this one, page by page."""
    after = 0
    while True:
        page = replaced.execute(_PAGE, {"after": after, "page": PAGE}).mappings().all()
        if not page:
            return
        after = page[-1]["payment_id"]
        with db.engine.connect() as connection:
            values = {"rows": json.dumps([dict(row) for row in page])}
            found = list(connection.execute(_OTHERS, values))
        yield found


def _why_not(replaced: Connection, ours: Any) -> str | None:
    """Why the replaced database's rows about a payment are not believed."""
    if ours.another:
        return "its id is another payment's in the replaced database"
    if broken := _broken(replaced, ours.payment_id):
        return f"in the replaced database: {broken}"
    if ours.head is None:
        return None
    link = replaced.execute(_LINK, {"payment_id": ours.payment_id, "seq": ours.version})
    if link.scalar_one_or_none() != ours.head:
        return "its events in the replaced database don't go on from those of the backup"
    return None


def _broken(replaced: Connection, payment_id: int) -> audit_rows.Broken | None:
    """The first thing of the payment that does not fit its chain of events there."""
    found = (audit_rows.check(books) for books in audit_reading.read(replaced, payment_id))
    return next(chain.from_iterable(found), None)


def _carry(replaced: Connection, ids: list[int]) -> list[int]:
    """Brings these payments back, all in one transaction; one by one if any of them can't. Gives
    those that can't."""
    rows = {table: rows_of(replaced, table, ids) for table in TABLES}
    try:
        with db.engine.begin() as connection:
            before = _standing(connection, ids)
            for table in TABLES:
                # Events are never changed: those that are here stay, the later ones come beside.
                statement = putting(table, over=table is not EVENT)
                connection.execute(statement, {"rows": rows[table]})
            if added := _added(before, json.loads(rows[PAYMENT]), json.loads(rows[EVENT])):
                connection.execute(insert(total_deltas), added)
    except IntegrityError:
        if len(ids) == 1:
            return ids
        return [left for payment_id in ids for left in _carry(replaced, [payment_id])]
    return []


def _standing(connection: Connection, ids: list[int]) -> dict[int, PaymentRow]:
    query = select(*PAYMENT_COLUMNS).where(PAYMENT.c.payment_id.in_(ids))
    return {row["payment_id"]: payment_row(row) for row in connection.execute(query).mappings()}


def _added(
    before: dict[int, PaymentRow], payments: list[PaymentRow], events: list[EventRow]
) -> list[Mapping[str, Any]]:
    """What the payments that come back add to the totals, each at the time of its payment."""
    told: dict[int, list[Any]] = defaultdict(list)
    for event in events:
        ours = before.get(event["payment_id"])
        if ours is None or event["seq"] > ours["version"]:
            told[event["payment_id"]].append(json.loads(event["body"])["data"])
    return [
        {**delta, "at": payment["created_at"]}
        for payment in payments
        for delta in total_changes.replayed(
            before.get(payment["payment_id"]), payment, told[payment["payment_id"]]
        )
    ]
