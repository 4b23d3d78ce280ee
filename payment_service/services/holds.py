"""Held funds: taken (capture), or released (void)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection

from payment_service.domain import money
from payment_service.domain.callers import Caller
from payment_service.domain.commands import Capture
from payment_service.domain.errors import CaptureExceedsAuthorized, OperationInProgress
from payment_service.domain.states import Verdict
from payment_service.domain.vocabulary import PaymentStatus, TransactionType
from payment_service.extensions import db
from payment_service.idempotency import Key
from payment_service.services import amounts, routing, standing
from payment_service.services.moves import due, paid_twice, retries, rows, steps, transitions
from payment_service.services.moves.answers import Ended
from payment_service.services.moves.operations import new_transaction, next_number, taken_by
from payment_service.services.moves.rows import PaymentRow, TransactionRow
from payment_service.services.moves.steps import Move
from payment_service.services.moves.transitions import News


def capture(
    *,
    payment_id: int,
    command: Capture,
    key: Key,
    caller: Caller,
    rule: standing.Condition | None = None,
) -> Ended:
    """Takes held funds, all or a part; what is not taken is released.

    Raises PaymentNotFound, IllegalTransition, OperationInProgress, CaptureExceedsAuthorized, and
    PaymentExists where another payment pays for the trip or order: then it can only be cancelled;
    and what the `rule` raises.
    """

    def begin() -> Move:
        with due.crowded(), db.engine.begin() as connection:
            payment = standing.read(connection, payment_id, lock=True)
            if rule:
                rule(connection, payment)
            expect_free(connection, payment, PaymentStatus.SUCCESS)
            due.expect_due(connection, payment)
            sent = amounts.in_minor_units(command.amount, payment["currency"])
            amount = sent or payment["authorized"]
            if amount > payment["authorized"]:
                held = money.format_amount(payment["authorized"], payment["currency"])
                raise CaptureExceedsAuthorized(
                    f"only {held} {payment['currency']} is authorized",
                    {"amount": [f"must not be more than {held}"]},
                    authorized=held,
                )
            earlier = rows.read_transactions(connection, payment_id)
            holder = taken_by(payment, earlier)
            routing.expect_step(amount, currency=payment["currency"], provider=holder)
            return begin_on_hold(
                connection,
                payment=payment,
                earlier=earlier,
                kind=TransactionType.CAPTURE,
                amount=amount,
                caller=caller,
                key=key,
                share=0,  # a hold that came in late pays now, and stands for the trip or order
            )

    return retries.once(key=key, caller=caller, begin=begin)


def begin_on_hold(
    connection: Connection,
    *,
    payment: PaymentRow,
    earlier: Sequence[TransactionRow],
    kind: TransactionType,
    amount: int,
    caller: Caller,
    key: Key | None,
    cause: str | None = None,
    number: int | None = None,
    share: int | None = None,
) -> Move:
    """Begins a capture or void of the locked payment with the provider that holds the funds.

    `number` is that of a request which the provider has already, and a restore had lost. `share`
    is where the payment stands from now on, if it moves."""
    transaction = new_transaction(
        payment=payment,
        number=number or next_number(earlier),
        kind=kind,
        amount=amount,
        provider=taken_by(payment, earlier),
        caller=caller,
        moment=datetime.now(UTC),
        cause=cause,
    )
    edge = transitions.edge_of(payment, kind, Verdict.ASKED)
    return steps.begin(
        connection,
        payment=payment,
        transaction=transaction,
        earlier=earlier,
        news=[News(edge.event, caller, cause, {"asked": kind})],
        caller=caller,
        key=key,
        changes={"status": edge.to, "share": payment["share"] if share is None else share},
    )


def expect_free(connection: Connection, payment: PaymentRow, wanted: PaymentStatus) -> None:
    """Raises unless the payment holds funds and nothing else is under way with them."""
    if payment["status"] == PaymentStatus.AUTHORIZED:
        return
    transactions = rows.read_transactions(connection, payment["payment_id"])
    transactions = [row for row in transactions if not paid_twice.is_beside(row)]
    moving = transactions and transactions[-1]["type"] in ("CAPTURE", "VOID")
    if payment["status"] == PaymentStatus.PROCESSING and moving:
        raise OperationInProgress(
            f"a {transactions[-1]['type'].lower()} of this payment is under way; ask again later"
        )
    raise standing.illegal(payment, wanted)
