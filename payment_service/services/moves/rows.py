"""Payments and transactions as the money path carries them: plain dicts, one entry a column.

An ORM object would be tied to a session and so to a connection, which must not be held while a
provider is asked.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict, cast

from sqlalchemy import Connection, RowMapping, select

from payment_service.domain import jsontext
from payment_service.models import Payment, Refund, Transaction

Row = dict[str, Any]


class RefundRow(TypedDict):
    """Captured funds given back; amounts in minor units."""

    refund_id: int
    payment_id: int
    transaction_number: int | None
    amount: int
    currency: str
    status: str
    reason: str | None
    caller: str
    provider_reference: str | None
    failure_code: str | None
    failure_message: str | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


class PaymentChanges(TypedDict, total=False):
    """What a change may write of a payment; transitions.apply writes these columns, and no others.

    `version`, `audit_head` and `updated_at` follow from the change itself.
    """

    status: str
    provider: str | None
    share: int
    authorized: int
    captured: int
    refunded: int
    refund_pending: int
    provider_reference: str | None
    authorization_code: str | None
    failure_code: str | None
    failure_message: str | None
    next_action: dict[str, Any] | None
    completed_at: datetime | None
    captured_at: datetime | None
    expires_at: datetime | None


PAYMENT = Payment.__table__
TRANSACTION = Transaction.__table__
REFUND = Refund.__table__
_GENERATED = {"live", "rare_status"}
PAYMENT_COLUMNS = [column for column in PAYMENT.c if column.name not in _GENERATED]


def read_payment(connection: Connection, payment_id: int, *, lock: bool = False) -> Row | None:
    """The payment as it stands, with `lock` held until the connection's transaction ends."""
    query = select(*PAYMENT_COLUMNS).where(PAYMENT.c.payment_id == payment_id)
    found = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return dict(found) if found else None


def read_transactions(connection: Connection, payment_id: int) -> list[Row]:
    """The payment's requests to providers, oldest first."""
    query = (
        select(TRANSACTION)
        .where(TRANSACTION.c.payment_id == payment_id)
        .order_by(TRANSACTION.c.number)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def read_refund(connection: Connection, payment_id: int, number: int) -> RefundRow:
    """The refund that the payment's request `number` is about. Raises NoResultFound."""
    query = select(REFUND).where(
        REFUND.c.payment_id == payment_id, REFUND.c.transaction_number == number
    )
    return refund_row(connection.execute(query).mappings().one())


def refund_row(found: RowMapping) -> RefundRow:
    """A row of refunds, read with all its columns."""
    return cast(RefundRow, dict(found))


def find_transaction(transactions: list[Row], number: int) -> Row:
    """The request of that number."""
    return next(row for row in transactions if row["number"] == number)


def is_history(payment: Row) -> bool:
    """Imported, and as the file said: what happened to it did so before our time, at a provider
    that is not known here. What is charged or settled here has events from then on."""
    return bool(payment["imported"] and payment["audit_head"] is None)


def dumped(value: Any) -> str | None:
    """A JSON column's value as a statement takes it."""
    return None if value is None else jsontext.dumps(value)
