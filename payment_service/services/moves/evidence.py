"""Takes in what a provider says about a request, under lock: for late answers and look-ups."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection

from payment_service.domain.callers import Caller
from payment_service.domain.states import Verdict
from payment_service.domain.vocabulary import (
    DEAD,
)
from payment_service.extensions import db
from payment_service.providers.contract import Result
from payment_service.services.moves import due, outcomes, rows, transitions
from payment_service.services.moves.rows import PaymentChanges
from payment_service.services.moves.transitions import Change
from payment_service.telemetry import metrics

log = structlog.get_logger(__name__)

WATCH = timedelta(hours=24)
"""How long a request that was surely not received is looked up all the same."""


def accept(
    *, payment_id: int, number: int, verdict: Verdict, result: Result, caller: Caller
) -> bool:
    """Moves the payment as the `verdict` of its request `number` says, if that is news.

    False if it moves nothing.
    """
    with db.engine.begin() as connection:
        moved = accept_locked(
            connection,
            payment_id=payment_id,
            number=number,
            verdict=verdict,
            result=result,
            caller=caller,
        )
    return moved is not None


def accept_locked(
    connection: Connection,
    *,
    payment_id: int,
    number: int,
    verdict: Verdict,
    result: Result,
    caller: Caller,
    reason: str | None = None,
) -> Change | None:
    """As `accept`, in the connection's transaction, which must end soon: it locks the payment.
    `reason` is a person's, where a person is the evidence."""
    payment, _, transaction, refund = rows.lock_request(connection, payment_id, number)
    if verdict is Verdict.NOT_RECEIVED and transaction["provider_reference"] is not None:
        return None  # it named its id for the request, so it has received it, whatever it says now
    change = outcomes.plan(
        payment=payment,
        transaction=transaction,
        refund=refund,
        verdict=verdict,
        result=result,
        caller=caller,
        moment=datetime.now(UTC),
        reason=reason,
    )
    if change is None:
        return None
    if payment["status"] in DEAD and change.payment["status"] not in DEAD:
        change = _brought_back(connection, change)
    if verdict is Verdict.NOT_RECEIVED and change.transaction is not None:
        soon = change.payment["updated_at"] + timedelta(minutes=1)
        change = replace(change, transaction={**change.transaction, "due_at": soon})
    transitions.apply(connection, change)
    if change.contradicts:
        # Before the commit: who dies in between has counted one too many, and never one too few.
        metrics.CONTRADICTED.inc()
        log.error("payment_contradicted", payment_id=payment_id, status=change.payment["status"])
    return change


def _brought_back(connection: Connection, change: Change) -> Change:
    """Evidence against FAILED, CANCELLED or EXPIRED: the payment lives again.

    If another one stands in its place or has paid by now, this one is surplus: it moves to a spare
    share, and the worker gives its money back (services/expiry) because its time is over.
    """
    payment = change.payment
    taken = due.shares_beside(connection, payment)
    if payment["share"] not in taken and not due.is_paid_beside(connection, payment):
        return change
    spare: PaymentChanges = {"share": max(taken) + 1, "expires_at": payment["updated_at"]}
    return transitions.amended(change, spare)
