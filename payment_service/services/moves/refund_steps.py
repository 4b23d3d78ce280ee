"""The first step of a refund: its row, its request, and what of the payment is held for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, insert

from payment_service.domain.callers import Caller
from payment_service.domain.vocabulary import RefundStatus, TransactionType
from payment_service.idempotency import Key
from payment_service.services.moves import rows, steps
from payment_service.services.moves.operations import new_transaction, next_number, taken_by
from payment_service.services.moves.refund_holds import Approved
from payment_service.services.moves.rows import REFUND, PaymentRow, RefundRow, TransactionRow
from payment_service.services.moves.steps import Move
from payment_service.services.moves.transitions import News


def begin_refund(
    connection: Connection,
    *,
    payment: PaymentRow,
    earlier: Sequence[TransactionRow],
    amount: int,
    reason: str | None,
    caller: Caller,
    key: Key | None,
    cause: str | None = None,
    number: int | None = None,
    of: TransactionRow | None = None,
    approved: Approved | None = None,
) -> Move:
    """Begins a refund of the locked payment with the provider that took the money.

    `number` is that of a request which the provider has already, and a restore had lost. `of` is a
    charge beside the payment's amounts (services/moves/paid_twice): then these stay as they are.
    They do, too, where it was `approved`: what was held for it is what it gives back."""
    transaction = new_transaction(
        payment=payment,
        number=number or next_number(earlier),
        kind=TransactionType.REFUND,
        amount=amount,
        provider=of["provider"] if of else taken_by(payment, earlier),
        caller=caller,
        moment=datetime.now(UTC),
        cause=cause,
    )
    if of:
        transaction["description"] = of["reference"]
    counted = of or approved
    pending = payment["refund_pending"] + amount
    # Before the event, which names its id.
    refund = _written(connection, transaction, reason, caller)
    details = {
        "refund_id": refund["refund_id"],
        "transaction_reference": transaction["reference"],
        "amount_minor": amount,
    }
    data = {"refund": details, **(approved.told() if approved else {})}
    return steps.begin(
        connection,
        payment=payment,
        transaction=transaction,
        earlier=earlier,
        news=[News("refund.requested", caller, reason, data)],
        caller=caller,
        key=key,
        changes={} if counted else {"refund_pending": pending},
        refund=refund,
    )


def _written(
    connection: Connection, transaction: TransactionRow, reason: str | None, caller: Caller
) -> RefundRow:
    """The row of the refund that the request is about, as it is in the table now."""
    values = {
        "payment_id": transaction["payment_id"],
        "transaction_number": transaction["number"],
        "amount": transaction["amount"],
        "currency": transaction["currency"],
        "status": RefundStatus.PENDING,
        "reason": reason,
        "caller": caller.name,
        "created_at": transaction["created_at"],
        "updated_at": transaction["created_at"],
    }
    query = insert(REFUND).values(values).returning(*REFUND.c)
    return rows.refund_row(connection.execute(query).mappings().one())
