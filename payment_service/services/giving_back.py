"""Gives back what was paid twice: each such charge by a refund that names it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, select

from payment_service.domain.callers import WORKER
from payment_service.domain.vocabulary import TransactionStatus, TransactionType
from payment_service.extensions import db
from payment_service.services.moves import (
    paid_twice,
    refund_outcomes,
    refund_steps,
    rows,
    unattended,
)
from payment_service.services.moves.paid_twice import PAID_TWICE
from payment_service.services.moves.rows import TRANSACTION
from payment_service.services.moves.steps import Move
from payment_service.services.moves.transitions import OPEN

BATCH = 20
"""Few at once: each is a call to a provider."""

_FAILED = "not_given_back"

_LOOK_AGAIN = timedelta(minutes=1)
"""At a refund that is under way; it costs one query of our own."""


def run_once() -> dict[str, int]:
    """Asks for the refunds that are due. Any number of workers may run it at once: each takes a
    payment under its lock. `more` says that more may be due: whatever was seen to has got a later
    time, and what could not be begun makes way."""
    query = (
        select(TRANSACTION.c.payment_id, TRANSACTION.c.number)
        .where(
            TRANSACTION.c.due_at <= datetime.now(UTC),
            TRANSACTION.c.cause == PAID_TWICE,
            TRANSACTION.c.type == TransactionType.CHARGE,
            TRANSACTION.c.payment_id.not_in(unattended.making_way(_FAILED)),
        )
        .order_by(TRANSACTION.c.due_at)
        .limit(BATCH)
    )
    with db.engine.connect() as connection:
        due = list(connection.execute(query))
    asked = sum(_give_back(payment_id, number) for payment_id, number in due)
    return {"asked": asked, "more": len(due) // BATCH}


def _give_back(payment_id: int, number: int) -> bool:
    return unattended.carry_out(
        payment_id=payment_id,
        begin=lambda connection: _begin(connection, payment_id, number),
        failed=_FAILED,
    )


def _begin(connection: Connection, payment_id: int, number: int) -> Move | None:
    """Begins the refund of the charge; None if one is under way, was given, or has just failed.
    When it is seen to again is noted with it, so that whoever dies now changes nothing."""
    now = datetime.now(UTC)
    payment, transactions, charge, _ = rows.lock_request(connection, payment_id, number)
    if charge["due_at"] is None or charge["due_at"] > now:
        return None
    asked = paid_twice.refunds_of(charge, transactions)
    if any(row["status"] == TransactionStatus.SUCCESS for row in asked):
        paid_twice.put_off(connection, charge, None)
        return None
    paid_twice.put_off(connection, charge, now + _LOOK_AGAIN)
    if any(row["status"] in OPEN for row in asked):
        return None
    if asked and (ended := asked[-1]["occurred_at"]):
        again = ended + refund_outcomes.pause_after(asked[-1])
        if again > now:
            paid_twice.put_off(connection, charge, again)
            return None
    return refund_steps.begin_refund(
        connection,
        payment=payment,
        earlier=transactions,
        amount=charge["amount"],
        reason=PAID_TWICE,
        caller=WORKER,
        key=None,
        cause=PAID_TWICE,
        of=charge,
    )
