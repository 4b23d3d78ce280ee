"""Gives captured funds back, all or in parts, never more than were captured."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, select

from payment_service.domain import money
from payment_service.domain.callers import Caller
from payment_service.domain.commands import RefundPayment, SentAmount, SetRefundStatus
from payment_service.domain.errors import (
    IllegalTransition,
    RefundExceedsCaptured,
    RefundNotFound,
)
from payment_service.domain.states import Verdict
from payment_service.domain.vocabulary import (
    RefundStatus,
    TransactionType,
)
from payment_service.extensions import db
from payment_service.idempotency import Key
from payment_service.providers.contract import Outcome, Result
from payment_service.services import amounts, routing, standing
from payment_service.services.moves import evidence, hastening, refund_steps, retries, rows
from payment_service.services.moves.answers import Ended
from payment_service.services.moves.operations import (
    providers,
    taken_by,
)
from payment_service.services.moves.refund_holds import Approved
from payment_service.services.moves.rows import REFUND, PaymentRow, RefundRow, TransactionRow
from payment_service.services.moves.steps import Move
from payment_service.services.moves.transitions import OPEN

Rule = Callable[[Connection, PaymentRow, int], None]
"""What else must hold of the locked payment, and of the amount (minor units) that is to go back."""


def refund(
    *,
    payment_id: int,
    command: RefundPayment,
    key: Key,
    caller: Caller,
    version: int | None = None,
    rule: Rule | None = None,
) -> Ended:
    """Gives back `amount`, or what is left, of a captured payment, which must be of that `version`
    if one is said.

    Raises PaymentNotFound, NotRefundable, PaymentDisputed, RefundExceedsCaptured,
    PartialRefundNotSupported; and
    PaymentChanged, and what the `rule` raises.
    """

    def begin() -> Move:
        with db.engine.begin() as connection:
            payment, amount, earlier = to_give_back(
                connection, payment_id=payment_id, sent=command.amount, version=version
            )
            if rule:
                rule(connection, payment, amount)
            return refund_steps.begin_refund(
                connection,
                payment=payment,
                earlier=earlier,
                amount=amount,
                reason=command.reason,
                caller=caller,
                key=key,
            )

    return retries.once(key=key, caller=caller, begin=begin)


def to_give_back(
    connection: Connection, *, payment_id: int, sent: SentAmount | None, version: int | None
) -> tuple[PaymentRow, int, list[TransactionRow]]:
    """The payment, locked from here on, what of it is to go back (minor units), and its requests.
    Raises as `refund` does."""
    payment = refundable(connection, payment_id, version=version)
    amount = amount_to_refund(payment, sent)
    earlier = rows.read_transactions(connection, payment_id)
    routing.expect_refundable(payment, amount, provider=taken_by(payment, earlier))
    return payment, amount, earlier


def begin_approved(
    connection: Connection, *, payment: PaymentRow, approved: Approved, caller: Caller, key: Key
) -> Move:
    """Begins the refund that was asked for and is approved. Raises as `refund` does."""
    standing.expect_captured(payment)
    request = approved.request
    earlier = rows.read_transactions(connection, payment["payment_id"])
    routing.expect_refundable(payment, request["amount"], provider=taken_by(payment, earlier))
    return refund_steps.begin_refund(
        connection,
        payment=payment,
        earlier=earlier,
        amount=request["amount"],
        reason=request["reason"],
        caller=caller,
        key=key,
        approved=approved,
    )


def set_status(
    *,
    refund_id: int,
    command: SetRefundStatus,
    caller: Caller,
    rule: standing.Condition | None = None,
) -> RefundRow:
    """A person says whether the money was given back: cash, or what a provider took and then did
    not know. Gives the refund as it stands then.

    Raises RefundNotFound, IllegalTransition, and what the `rule` raises.
    """
    query = select(REFUND).where(REFUND.c.refund_id == refund_id)
    approved = command.status is RefundStatus.SUCCESS
    with db.engine.begin() as connection:
        found = connection.execute(query).mappings().one_or_none()
        if found is None:
            raise RefundNotFound(f"there is no refund {refund_id}")
        payment = rows.read_payment(connection, found["payment_id"], lock=True)
        number = found["transaction_number"]
        if rule and payment is not None:
            rule(connection, payment)
        theirs = payment is not None and _is_a_persons(connection, payment, number)
        moved = theirs and evidence.accept_locked(
            connection,
            payment_id=found["payment_id"],
            number=number,
            verdict=Verdict.APPROVED if approved else Verdict.DECLINED,
            result=Result(
                Outcome.APPROVED if approved else Outcome.DECLINED,
                failure_code=None if approved else "not_handed_over",
                failure_message=command.reason,
            ),
            caller=caller,
            reason=command.reason,
        )
        ended = rows.refund_row(connection.execute(query).mappings().one())
        if moved and not approved and ended["provider_reference"]:
            # It took the refund, so it may give it all the same: looked up for a day.
            hastening.hasten(connection, payment_id=found["payment_id"], number=number)
    if not moved:
        raise IllegalTransition(
            f"refund {refund_id} is {ended['status']}, or not a person's to settle",
            **{"from": ended["status"], "to": command.status},
        )
    return ended


def expect_a_persons(connection: Connection, payment: PaymentRow, refund_id: int) -> None:
    """Raises IllegalTransition unless a person may say now how the refund of the locked payment
    ended."""
    query = select(REFUND.c.status, REFUND.c.transaction_number).where(
        REFUND.c.refund_id == refund_id, REFUND.c.payment_id == payment["payment_id"]
    )
    found = connection.execute(query).one_or_none()
    if found is None or not _is_a_persons(connection, payment, found.transaction_number):
        raise IllegalTransition(
            f"refund {refund_id} waits for nobody's word", **{"from": found and found.status}
        )


def _is_a_persons(connection: Connection, payment: PaymentRow, number: int | None) -> bool:
    """Whether a person may settle it: where nobody else was asked, or the provider has not got a
    request that it had taken, which by itself may stay so for ever."""
    if number is None:
        return False
    transaction = rows.find_transaction(
        rows.read_transactions(connection, payment["payment_id"]), number
    )
    provider = providers().find(transaction["provider"])
    by_hand = provider is not None and TransactionType.REFUND in provider.by_hand
    lost = transaction["provider_reference"] and transaction["not_found_at"]
    return bool(by_hand or lost) and transaction["status"] in OPEN


def refundable(
    connection: Connection, payment_id: int, *, version: int | None = None
) -> PaymentRow:
    """The payment, locked, if money of it can be given back here. Raises as `refund` does."""
    payment = standing.read(connection, payment_id, lock=True)
    standing.expect_version(payment, version)
    standing.expect_captured(payment)
    return payment


def amount_to_refund(payment: PaymentRow, sent: SentAmount | None) -> int:
    currency = payment["currency"]
    left = rows.left_of(payment)
    amount = amounts.in_minor_units(sent, currency)
    if amount is None:
        amount = left
    if amount > left or amount <= 0:
        text = money.format_amount(left, currency)
        raise RefundExceedsCaptured(
            f"only {text} {currency} is left to refund",
            {"amount": [f"must not be more than {text}"]},
            refundable=text,
            currency=currency,
        )
    return amount
