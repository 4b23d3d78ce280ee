"""Takes in what a provider says about a request, under lock: for late answers and look-ups."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from payment_service.config import settings
from payment_service.domain.callers import Caller
from payment_service.domain.states import Verdict
from payment_service.domain.vocabulary import ASKS, DEAD, TransactionStatus
from payment_service.extensions import db
from payment_service.models import Contradiction
from payment_service.providers.contract import Result
from payment_service.services.moves import (
    due,
    outcomes,
    paid_twice,
    refund_holds,
    rows,
    transitions,
)
from payment_service.services.moves.operations import providers
from payment_service.services.moves.rows import PaymentChanges, TransactionRow
from payment_service.services.moves.transitions import Change
from payment_service.telemetry import metrics

log = structlog.get_logger(__name__)

WATCH = timedelta(hours=24)
"""How long a request that was surely not received, or to which a payer had been sent, is looked up
all the same once it is over; and one that was paid, where its page can be paid twice."""


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
    payment, transactions, transaction, refund = rows.lock_request(connection, payment_id, number)
    was_sent = transaction["status"] == TransactionStatus.REQUIRES_ACTION
    if verdict is Verdict.NOT_RECEIVED and (transaction["provider_reference"] or was_sent):
        # It named its id for the request, so it has received it, whatever it says now; or the payer
        # has what it takes to pay, and may not have used it yet.
        return None
    if verdict is Verdict.DECLINED and result.still_open and was_sent:
        # The payer was sent on while the provider was asked, and may go on: only a void ends that.
        return None
    if result.names_no_request and outcomes.may_be_a_later_one_s(transaction, transactions):
        return None
    if refund is not None and verdict is Verdict.APPROVED:
        payment = refund_holds.make_room(connection, payment, transaction)
    change = outcomes.plan(
        payment=payment,
        transaction=transaction,
        refund=refund,
        verdict=verdict,
        result=result,
        caller=caller,
        moment=datetime.now(UTC),
        reason=reason,
        others=[row for row in transactions if row["number"] != number],
    )
    if change is None or (closed := change.transaction) is None:
        return None
    if payment["status"] in DEAD and change.payment["status"] not in DEAD:
        change = _brought_back(connection, change)
    over = closed["status"] == TransactionStatus.FAILED
    if verdict is Verdict.NOT_RECEIVED or (was_sent and over and change.payment["status"] in DEAD):
        soon = change.payment["updated_at"] + timedelta(minutes=1)
        change = replace(change, transaction={**closed, "due_at": soon, "lookups": 0})
    elif again := next_look_at_paid(closed):
        change = replace(change, transaction={**closed, "due_at": closed["due_at"] or again})
    transitions.apply(connection, change)
    paid_twice.wake(connection, closed, transactions)
    if change.contradicts:
        # Before the commit: who dies in between has counted one too many, and never one too few.
        metrics.CONTRADICTED.inc()
        seen = {"seq": change.payment["version"], "at": change.payment["updated_at"]}
        written = insert(Contradiction).values(payment_id=payment_id, **seen)
        connection.execute(written.on_conflict_do_nothing())  # no note is worth a move
        log.error("payment_contradicted", payment_id=payment_id, status=change.payment["status"])
    return change


def next_look_at_paid(transaction: TransactionRow) -> datetime | None:
    """When a charge that was paid is looked up by itself, because its page may be paid a second
    time and the news of that be lost: when the page's time is over, and at the end of the WATCH.
    None if that was, and for all others."""
    provider, ended = providers().find(transaction["provider"]), transaction["occurred_at"]
    if provider is None or not provider.pages_can_be_paid_twice or ended is None:
        return None
    if transaction["type"] not in ASKS or transaction["status"] != TransactionStatus.SUCCESS:
        return None
    page_ends = transaction["created_at"] + timedelta(seconds=settings().action_ttl)
    now = datetime.now(UTC)
    return min((at for at in (page_ends, ended + WATCH) if at > now), default=None)


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
