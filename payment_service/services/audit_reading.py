"""Reads all rows of each payment, chunk by chunk, each chunk in one snapshot of the database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import JSON, Column, Connection, DateTime, Table, Text, case, select
from sqlalchemy import cast as as_type

from payment_service.extensions import db
from payment_service.models import Event, ImportSeal
from payment_service.models.columns import Encrypted
from payment_service.services.moves import rows
from payment_service.services.moves.refund_holds import (
    REQUEST,
    RefundRequestRow,
    request_row,
)
from payment_service.services.moves.rows import (
    PAYMENT,
    REFUND,
    TRANSACTION,
    EventRow,
    PaymentRow,
    RefundRow,
    SealRow,
    TransactionRow,
)
from payment_service.services.moves.snapshots import hashed

EVENT = Event.__table__
SEAL = ImportSeal.__table__

CHUNK = 1000
"""Payments a snapshot: one that lasted as long as the whole walk would keep PostgreSQL from
cleaning up behind the charges meanwhile."""

ALL = 2**63 - 1

# A day inside of what Python has dates for, as the session's time zone may be any.
EARLIEST, LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


@dataclass
class Books:
    """All rows of one payment. `payment` None: others say that there was one."""

    payment_id: int
    payment: PaymentRow | None = None
    events: list[EventRow] = field(default_factory=list)
    requests: list[TransactionRow] = field(default_factory=list)
    refunds: list[RefundRow] = field(default_factory=list)
    refund_requests: list[RefundRequestRow] = field(default_factory=list)
    seal: SealRow | None = None


def ranges(connection: Connection, payment_id: int | None) -> Iterator[tuple[int, int]]:
    """Spans of ids, each after the first and up to the second, that together hold all payments
    (or the one), and what no payment stands for any more."""
    after, last = (0, ALL) if payment_id is None else (payment_id - 1, payment_id)
    within = select(PAYMENT.c.payment_id).order_by(PAYMENT.c.payment_id).offset(CHUNK - 1).limit(1)
    while after < last:
        end = connection.execute(within.where(PAYMENT.c.payment_id > after)).scalar()
        connection.rollback()
        upto = last if end is None else min(last, end)
        yield after, upto
        after = upto


@contextmanager
def snapshots() -> Iterator[Connection]:
    """A connection each of whose transactions sees the database at one moment."""
    with db.engine.connect() as connection:
        yield connection.execution_options(isolation_level="REPEATABLE READ")


def read(connection: Connection, payment_id: int | None = None) -> Iterator[Books]:
    """The books of all payments, or of one, in the order of their ids."""
    for after, upto in ranges(connection, payment_id):
        yield from _chunk(connection, after, upto)


def _chunk(connection: Connection, after: int, upto: int) -> list[Books]:
    books: dict[int, Books] = {}

    def of(row: Mapping[str, Any]) -> Books:
        owner = row["payment_id"]
        return books.setdefault(owner, Books(owner))

    for row in _rows(connection, PAYMENT, after, upto):
        of(row).payment = rows.payment_row(row)
    for row in _rows(connection, EVENT, after, upto, "seq"):
        of(row).events.append(cast(EventRow, dict(row)))
    for row in _rows(connection, TRANSACTION, after, upto, "number"):
        of(row).requests.append(rows.transaction_row(row))
    for row in _rows(connection, REFUND, after, upto, "refund_id"):
        of(row).refunds.append(rows.refund_row(row))
    for row in _rows(connection, REQUEST, after, upto, "request_id"):
        of(row).refund_requests.append(request_row(row))
    for row in _rows(connection, SEAL, after, upto):
        of(row).seal = cast(SealRow, dict(row))
    connection.rollback()
    return [books[number] for number in sorted(books)]


_TOKEN = PAYMENT.c.token


def _rows(
    connection: Connection, table: Table, after: int, upto: int, *order: str
) -> Iterator[Mapping[str, Any]]:
    owner = table.c.payment_id
    # What is encrypted no event says, but for a payment's token.
    said = [one for one in table.c if one is _TOKEN or not isinstance(one.type, Encrypted)]
    shown = [legible(column) for column in said]
    query = select(*shown).where(owner > after, owner <= upto)
    query = query.order_by(owner, *(table.c[name] for name in order))
    texts = [column.name for column in table.c if isinstance(column.type, JSON)]
    for row in connection.execute(query).mappings().all():
        yield {**row, **{name: _read(row[name]) for name in texts}}


def legible(column: Column[Any]) -> Any:
    """The column, so that any row can be read: one that can't must not hide the others. A moment
    for which Python has no date becomes one that no event says, and JSON is read afterwards."""
    if isinstance(column.type, DateTime):
        near = case((column < EARLIEST, EARLIEST), (column > LATEST, LATEST), else_=column)
        return near.label(column.name)
    if isinstance(column.type, JSON):
        return as_type(column, Text).label(column.name)
    return column


def _read(text: str | None) -> Any:
    """The JSON, or its text, which is not what any event says, where it is nothing of ours."""
    try:
        value = None if text is None else json.loads(text)
        hashed(value)
    except (ValueError, TypeError, RecursionError):
        return text
    return value
