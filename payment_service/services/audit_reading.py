"""Reads all rows of each payment, chunk by chunk, each chunk in one snapshot of the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy import Connection, RowMapping, Table, select

from payment_service.extensions import db
from payment_service.models import Event, ImportSeal
from payment_service.services.moves import rows
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

EVENT = Event.__table__
SEAL = ImportSeal.__table__

CHUNK = 1000
"""Payments a snapshot: one that lasted as long as the whole walk would keep PostgreSQL from
cleaning up behind the charges meanwhile."""

ALL = 2**63 - 1


@dataclass
class Books:
    """All rows of one payment. `payment` None: others say that there was one."""

    payment_id: int
    payment: PaymentRow | None = None
    events: list[EventRow] = field(default_factory=list)
    requests: list[TransactionRow] = field(default_factory=list)
    refunds: list[RefundRow] = field(default_factory=list)
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

    def of(row: RowMapping) -> Books:
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
    for row in _rows(connection, SEAL, after, upto):
        of(row).seal = cast(SealRow, dict(row))
    connection.rollback()
    return [books[number] for number in sorted(books)]


def _rows(
    connection: Connection, table: Table, after: int, upto: int, *order: str
) -> Sequence[RowMapping]:
    owner = table.c.payment_id
    query = select(table).where(owner > after, owner <= upto)
    query = query.order_by(owner, *(table.c[name] for name in order))
    return connection.execute(query).mappings().all()
