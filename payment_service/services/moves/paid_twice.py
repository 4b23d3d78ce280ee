"""Money that came a second time under one reference, because a page of the provider's was paid
twice: a charge of its own beside the payment, outside the payment's amounts, which the worker gives
back (services/giving_back)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import cast

import structlog
from sqlalchemy import Connection, insert, update

from payment_service.domain import coming, money
from payment_service.domain.callers import Caller
from payment_service.domain.references import transaction_reference
from payment_service.domain.vocabulary import TransactionStatus, TransactionType
from payment_service.extensions import db
from payment_service.providers.contract import Outcome, Result
from payment_service.services.moves import hastening, rows, transitions
from payment_service.services.moves.rows import TRANSACTION, PaymentRow, TransactionRow
from payment_service.services.moves.transitions import News
from payment_service.telemetry import metrics

log = structlog.get_logger(__name__)

PAID_TWICE = coming.PAID_TWICE
"""The cause of such a charge, and of the refund that gives it back. The refund's description is the
charge's reference."""


def is_beside(transaction: TransactionRow) -> bool:
    """Whether it is such a charge, or gives one back: the payment's amounts know nothing of it."""
    return transaction["cause"] == PAID_TWICE


def given_back_by(
    refund: TransactionRow, transactions: Iterable[TransactionRow]
) -> TransactionRow | None:
    """The charge among `transactions` that the refund names; None for a refund of the payment's own
    money, and for what is no refund."""
    if refund["type"] != TransactionType.REFUND or not is_beside(refund):
        return None
    return next(row for row in transactions if row["reference"] == refund["description"])


def refunds_of(
    charge: TransactionRow, transactions: Iterable[TransactionRow]
) -> list[TransactionRow]:
    """The refunds that name the charge, oldest first."""
    return [
        row
        for row in transactions
        if row["type"] == TransactionType.REFUND
        and is_beside(row)
        and row["description"] == charge["reference"]
    ]


def keep(
    connection: Connection, *, payment_id: int, number: int, result: Result, caller: Caller
) -> int:
    """Writes down each other payment that came in under the reference of the payment's charge
    `number`, once; how many were new. Of a hold none is written down: a second one is logged and
    counted, for a person to release. The connection's transaction must end soon: it locks the
    payment."""
    payment, transactions, charge, _ = rows.lock_request(connection, payment_id, number)
    if charge["type"] == TransactionType.AUTHORIZATION and result.also:
        metrics.CONTRADICTED.inc()
        log.error("held_twice", payment_id=payment_id, reference=charge["reference"])
    if charge["type"] != TransactionType.CHARGE or charge["status"] != TransactionStatus.SUCCESS:
        return 0
    known = {row["provider_reference"] for row in transactions if _is_charge(row)}
    last = max(row["number"] for row in transactions)
    new = 0
    for other in result.also:
        if other.provider_reference in known:
            continue
        known.add(other.provider_reference)
        new += 1
        row = _beside(charge, last + new, other, datetime.now(UTC))
        payment = _write(connection, payment, row, caller)
    return new


def look_again(*, payment_id: int, number: int, known_as: str | None, result: Result) -> None:
    """Has the charge looked up once more if it was booked, while a look-up by `known_as` found the
    `result`, as another payment than that: the next one goes by the id that was booked, and so
    tells of both."""
    if result.outcome is not Outcome.APPROVED:
        return
    with db.engine.begin() as connection:
        charge = rows.lock_request(connection, payment_id, number).transaction
        booked = charge["provider_reference"]
        if booked not in (None, known_as, result.provider_reference):
            hastening.hasten(connection, payment_id=payment_id, number=number)


def wake(
    connection: Connection, refund: TransactionRow, transactions: Iterable[TransactionRow]
) -> None:
    """Has the charge given back anew, where the refund that named it came to nothing."""
    charge = given_back_by(refund, transactions)
    if charge is not None and refund["status"] == TransactionStatus.FAILED:
        put_off(connection, charge, datetime.now(UTC) + timedelta(minutes=1))


def put_off(connection: Connection, charge: TransactionRow, until: datetime | None) -> None:
    """When it is next seen to that the charge is given back; None if it was."""
    connection.execute(
        update(TRANSACTION)
        .where(
            TRANSACTION.c.payment_id == charge["payment_id"],
            TRANSACTION.c.number == charge["number"],
        )
        .values(due_at=until)
    )


def _is_charge(row: TransactionRow) -> bool:
    return row["type"] == TransactionType.CHARGE


def _beside(charge: TransactionRow, number: int, other: Result, moment: datetime) -> TransactionRow:
    amount = other.amount_approved or charge["amount"]
    payment_reference = charge["reference"].rpartition("-")[0]
    row = {
        **charge,
        "number": number,
        "amount": amount,
        "amount_approved": amount,
        "provider_reference": other.provider_reference,
        "reference": transaction_reference(payment_reference, number),
        "fee": other.fee,
        "description": None,
        "cause": PAID_TWICE,
        "created_at": moment,
        "occurred_at": other.occurred_at or moment,
        "due_at": moment,
        "lookups": 0,
        "not_found_at": None,
    }
    for name in ("transaction_id", "answered_ms", "http_status"):
        row.pop(name, None)
    return cast(TransactionRow, row)


def _write(
    connection: Connection, payment: PaymentRow, row: TransactionRow, caller: Caller
) -> PaymentRow:
    """Gives the payment as it stands then."""
    told = {
        "transaction_reference": row["reference"],
        "amount": money.format_amount(row["amount"], row["currency"]),
    }
    change = transitions.plan(
        payment=payment,
        moment=row["created_at"],
        news=[News("payment.paid_twice", caller, None, {"paid_twice": told})],
        changes={},
        asked=row,
    )
    transitions.apply(connection, change)
    connection.execute(insert(TRANSACTION).values(row))
    # Before the commit: who dies in between has counted one too many, and never one too few.
    metrics.CONTRADICTED.inc()
    log.error("payment_paid_twice", payment_id=row["payment_id"], reference=row["reference"])
    return change.payment
