"""Payments, transactions and refunds as the money path carries them: plain dicts, one entry a
column, whose types mypy knows.

An ORM object would be tied to a session and so to a connection, which must not be held while a
provider is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, NotRequired, TypedDict, cast

from sqlalchemy import Connection, select

from payment_service.domain import jsontext
from payment_service.domain.vocabulary import TransactionType
from payment_service.models import Payment, Refund, Transaction
from payment_service.services.moves.tokens import KeptToken, Token


class PaymentRow(TypedDict):
    """One intent to collect an amount; amounts in minor units of `currency`."""

    payment_id: int  # 0 until the row is written
    trip_id: int | None
    order_id: int | None
    rider_id: int | None
    driver_id: int | None
    user_id: int | None
    parent_payment_id: int | None
    purpose: str
    share: int
    amount: int
    currency: str
    authorized: int
    captured: int
    refunded: int
    refund_pending: int
    disputed: int | None
    charged_back: int | None
    method: str
    provider: str | None
    imported: bool
    status: str
    reference: str
    caller: str
    caller_reference: str | None
    payment_token: Token
    provider_reference: str | None
    authorization_code: str | None
    failure_code: str | None
    failure_message: str | None
    next_action: dict[str, Any] | None
    description: str | None
    metadata: dict[str, str]
    fare: dict[str, str] | None
    version: int
    audit_head: bytes | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    captured_at: datetime | None
    expires_at: datetime | None


class TransactionRow(TypedDict):
    """One request to a provider about a payment; amounts in minor units."""

    payment_id: int  # 0 until the payment is written
    number: int
    transaction_id: NotRequired[int]  # PostgreSQL gives it
    type: str
    status: str
    amount: int
    amount_approved: int | None
    currency: str
    provider: str
    provider_account: str | None
    provider_reference: str | None
    reference: str
    fee: int | None
    failure_code: str | None
    failure_message: str | None
    description: str | None
    cause: str | None
    request_id: str | None
    traceparent: str | None
    created_at: datetime
    occurred_at: datetime | None
    send_before: datetime
    due_at: datetime | None
    lookups: int
    not_found_at: datetime | None
    leased_until: datetime | None
    answered_ms: NotRequired[int | None]  # what came back when it was asked: only its finish knows
    http_status: NotRequired[int | None]
    answer: NotRequired[bytes | None]  # sealed; not read with the others


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


class EventRow(TypedDict):
    """What happened to a payment, as it is kept."""

    payment_id: int
    seq: int
    type: str
    from_status: str | None
    to_status: str
    actor: str
    request_id: str | None
    reason: str | None
    occurred_at: datetime
    body: str
    chain: bytes
    snapshot: str | None


class SealRow(TypedDict):
    """What an imported payment has instead of a first event."""

    payment_id: int
    sealed_at: datetime
    content: str


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
    disputed: int | None
    charged_back: int | None
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
TRANSACTION_COLUMNS = [column for column in TRANSACTION.c if column.name != "answer"]
_GENERATED = {"live", "rare_status"}
PAYMENT_COLUMNS = [column for column in PAYMENT.c if column.name not in _GENERATED]


def read_payment(
    connection: Connection, payment_id: int, *, lock: bool = False
) -> PaymentRow | None:
    """The payment as it stands, with `lock` held until the connection's transaction ends."""
    query = select(*PAYMENT_COLUMNS).where(PAYMENT.c.payment_id == payment_id)
    found = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return payment_row(found) if found else None


def read_transactions(connection: Connection, payment_id: int) -> list[TransactionRow]:
    """The payment's requests to providers, oldest first."""
    query = (
        select(*TRANSACTION_COLUMNS)
        .where(TRANSACTION.c.payment_id == payment_id)
        .order_by(TRANSACTION.c.number)
    )
    return [transaction_row(row) for row in connection.execute(query).mappings()]


def read_refund(connection: Connection, payment_id: int, number: int) -> RefundRow:
    """The refund that the payment's request `number` is about. Raises NoResultFound."""
    query = select(REFUND).where(
        REFUND.c.payment_id == payment_id, REFUND.c.transaction_number == number
    )
    return refund_row(connection.execute(query).mappings().one())


class LockedRequest(NamedTuple):
    """A request with its payment, which is locked, and all requests of that; `refund` is what one
    of type REFUND is about."""

    payment: PaymentRow
    transactions: list[TransactionRow]
    transaction: TransactionRow
    refund: RefundRow | None


def lock_request(connection: Connection, payment_id: int, number: int) -> LockedRequest:
    """Locks the payment before its requests are read, so that all of it is of one moment, until the
    connection's transaction ends. Raises LookupError, NoResultFound."""
    payment = read_payment(connection, payment_id, lock=True)
    if payment is None:
        raise LookupError(f"no payment {payment_id}")
    transactions = read_transactions(connection, payment_id)
    transaction = find_transaction(transactions, number)
    is_refund = transaction["type"] == TransactionType.REFUND
    refund = read_refund(connection, payment_id, number) if is_refund else None
    return LockedRequest(payment, transactions, transaction, refund)


def payment_row(found: Mapping[Any, Any]) -> PaymentRow:
    """A row of payments, read with PAYMENT_COLUMNS. Its token is opened where it is wanted."""
    row: dict[Any, Any] = dict(found)
    if (token := row.pop("token")) is not None:
        row["payment_token"] = KeptToken(token, row["reference"], row["payment_token"] is None)
    return cast(PaymentRow, row)


def transaction_row(found: Mapping[Any, Any]) -> TransactionRow:
    """A row of transactions, read with TRANSACTION_COLUMNS."""
    return cast(TransactionRow, dict(found))


def refund_row(found: Mapping[Any, Any]) -> RefundRow:
    """A row of refunds, read with all its columns."""
    return cast(RefundRow, dict(found))


def find_transaction(transactions: list[TransactionRow], number: int) -> TransactionRow:
    """The request of that number."""
    return next(row for row in transactions if row["number"] == number)


def is_history(payment: PaymentRow) -> bool:
    """Imported, and as the file said: what happened to it did so before our time, at a provider
    that is not known here. What is charged or settled here has events from then on."""
    return payment["imported"] and payment["audit_head"] is None


def left_of(payment: PaymentRow) -> int:
    """What of it can still be given back, in minor units: what was captured, less what went back,
    is going back, is in dispute, or was lost by disputes."""
    gone = payment["refunded"] + payment["refund_pending"]
    contested = (payment["disputed"] or 0) + (payment["charged_back"] or 0)
    return max(0, payment["captured"] - gone - contested)


def dumped(value: Any) -> str | None:
    """A JSON column's value as a statement takes it."""
    return None if value is None else jsontext.dumps(value)
