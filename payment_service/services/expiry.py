"""Ends what has waited too long: holds are voided, waits for the payer end, surplus money that
came in late is given back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, and_, exists, not_, or_, select

from payment_service.domain.callers import WORKER
from payment_service.domain.vocabulary import (
    PAID,
    PaymentStatus,
    TransactionStatus,
    TransactionType,
)
from payment_service.extensions import db
from payment_service.services import holds
from payment_service.services.moves import outcomes, refund_steps, rows, unattended
from payment_service.services.moves.operations import providers
from payment_service.services.moves.rows import PAYMENT, TRANSACTION, TransactionRow
from payment_service.services.moves.steps import Move
from payment_service.services.moves.transitions import OPEN

BATCH = 20
"""Few at once: each is a call to a provider."""

SURPLUS = "surplus"

_FAILED = "not_ended"


def run_once() -> dict[str, int]:
    """Asks for the end of what is over. Any number of workers may run it at once: each takes a
    payment under its lock, and whoever comes second finds it moving. `more` says that more may be
    over: what could not be ended has got a later time, and what could not be begun makes way."""
    query = (
        select(PAYMENT.c.payment_id)
        .where(
            PAYMENT.c.expires_at <= datetime.now(UTC),
            PAYMENT.c.payment_id.not_in(unattended.making_way(_FAILED)),
            _standing_still(),
        )
        .order_by(PAYMENT.c.expires_at)
        .limit(BATCH)
    )
    with db.engine.connect() as connection:
        due = list(connection.execute(query).scalars())
    ended = sum(_end(payment_id) for payment_id in due)
    return {"ended": ended, "more": len(due) // BATCH}


def _standing_still() -> ColumnElement[bool]:
    """The payments with which nothing is under way: one that is under way can't be ended now, and
    would take the place of another in the batch."""
    voidable = PAYMENT.c.status == PaymentStatus.AUTHORIZED
    surplus = and_(PAYMENT.c.status.in_(PAID), PAYMENT.c.refund_pending == 0)
    voiding = exists().where(
        TRANSACTION.c.payment_id == PAYMENT.c.payment_id,
        TRANSACTION.c.type == TransactionType.VOID,
        TRANSACTION.c.status == TransactionStatus.PROCESSING,
    )
    # Where no void ends a wait, a look-up does (services/moves/resolution).
    by_themselves = [one.name for one in providers().all() if one.waits_are_over_by_themselves()]
    waiting = and_(
        PAYMENT.c.status == PaymentStatus.REQUIRES_ACTION,
        PAYMENT.c.provider.not_in(by_themselves),
    )
    # Whatever the status: money may be held, or come in, while the end of the wait is asked for.
    return and_(or_(voidable, surplus, waiting), not_(voiding))


def _end(payment_id: int) -> bool:
    return unattended.carry_out(
        payment_id=payment_id,
        begin=lambda connection: _begin(connection, payment_id),
        failed=_FAILED,
    )


def _begin(connection: Connection, payment_id: int) -> Move | None:
    """Begins what ends the payment; None if it is moving already, or was ended meanwhile."""
    payment = rows.read_payment(connection, payment_id, lock=True)
    if payment is None or payment["expires_at"] is None:
        return None
    earlier = rows.read_transactions(connection, payment_id)
    if payment["expires_at"] > datetime.now(UTC) or _voiding(earlier):
        return None
    if payment["status"] in (PaymentStatus.AUTHORIZED, PaymentStatus.REQUIRES_ACTION):
        declined = any(row["failure_code"] for row in earlier if row["status"] in OPEN)
        return holds.begin_on_hold(
            connection,
            payment=payment,
            earlier=earlier,
            kind=TransactionType.VOID,
            amount=payment["authorized"] or payment["amount"],
            caller=WORKER,
            key=None,
            cause=outcomes.DECLINED if declined else outcomes.EXPIRY,
        )
    left = rows.left_of(payment)
    if payment["status"] in PAID and not payment["refund_pending"] and left:
        return refund_steps.begin_refund(
            connection,
            payment=payment,
            earlier=earlier,
            amount=left,
            reason=SURPLUS,
            caller=WORKER,
            key=None,
            cause=SURPLUS,
        )
    return None


def _voiding(requests: Iterable[TransactionRow]) -> bool:
    return any(
        row["type"] == TransactionType.VOID and row["status"] == TransactionStatus.PROCESSING
        for row in requests
    )
