"""What an outcome does to a payment: pure planning, from rows to a Change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from payment_service.config import settings
from payment_service.domain import states
from payment_service.domain.callers import Caller
from payment_service.domain.states import Verdict
from payment_service.domain.vocabulary import (
    ASKS,
    DEAD,
    PaymentStatus,
    TransactionStatus,
    TransactionType,
)
from payment_service.providers.contract import Outcome, Result
from payment_service.services.moves import pages, paid_twice, refund_outcomes, transitions
from payment_service.services.moves.rows import (
    PaymentChanges,
    PaymentRow,
    RefundRow,
    TransactionRow,
)
from payment_service.services.moves.transitions import OPEN, Change, News

log = structlog.get_logger(__name__)

EXPIRY = "expiry"
DECLINED = "declined"
"""Why a void was asked: the time was over; the payer had been declined, and could go on trying."""

NOT_RECEIVED = "not_received"

_WAITING = TransactionStatus.REQUIRES_ACTION
_STATUS = {
    Verdict.APPROVED: TransactionStatus.SUCCESS,
    Verdict.REQUIRES_ACTION: _WAITING,
}


def verdict_of(result: Result, transaction: TransactionRow) -> Verdict | None:
    """The result as the table of edges names it; None where it decides nothing: the provider is not
    sure itself, or it waits for the payer as before, or where no payer can act, or the payer may go
    on after a no."""
    if result.outcome is Outcome.PENDING:
        return None
    waits = transaction["status"] == _WAITING
    if result.outcome is Outcome.DECLINED and result.still_open and waits:
        return None
    can_wait = transaction["type"] in ASKS and not waits
    if result.outcome is Outcome.REQUIRES_ACTION and not can_wait:
        return None
    return Verdict(result.outcome)


def plan(
    *,
    payment: PaymentRow,
    transaction: TransactionRow,
    refund: RefundRow | None,
    verdict: Verdict,
    result: Result,
    caller: Caller,
    moment: datetime,
    reason: str | None = None,
    others: Iterable[TransactionRow] = (),
) -> Change | None:
    """What the `verdict` of `transaction` changes; None if it moves nothing. `refund` is the
    row that a request of type REFUND is about, `reason` that of a person who says it was given,
    `others` are the payment's other requests.

    A repeat and weaker news (a late no after a yes) move nothing. Evidence that money moved after
    we had said that it did not, does.
    """
    if not _is_news(transaction, verdict):
        return None
    closed = _closed(transaction, verdict, result, moment)
    if transaction["type"] == TransactionType.REFUND:
        if refund is None:
            raise LookupError(f"the refund of {transaction['reference']} is not here")
        return refund_outcomes.plan(
            payment, transaction, closed, refund, verdict, caller, moment, reason
        )
    if verdict is Verdict.APPROVED and transaction["cause"] in (EXPIRY, DECLINED):
        verdict = _end_of_wait(payment, transaction)
    try:
        edge = transitions.edge_of(payment, transaction["type"], verdict)
    except states.IllegalEdge as error:
        if _is_anothers(transaction, others):
            if transaction["status"] == TransactionStatus.FAILED:
                return None  # it had been given up, and what its caller was told stays true
            if transaction["type"] == TransactionType.CAPTURE:
                closed = _not_captured(closed)
        noted = _noted(payment, closed, caller, moment)
        if noted is None:
            log.warning("outcome_without_edge", payment_id=payment["payment_id"], edge=str(error))
        return noted
    changes = _payment_changes(payment, closed, edge.to, result, moment)
    if verdict is Verdict.NOT_PAID and (declined := charge_of(others)):
        changes["failure_code"] = declined["failure_code"]
        changes["failure_message"] = declined["failure_message"]
    # A request that was given up and did it all the same overturns what its caller was told, also
    # where another one is under way by now.
    contradicts = edge.contradicts or transaction["status"] == TransactionStatus.FAILED
    data = {"contradicted": True} if contradicts else {}
    change = transitions.plan(
        payment=payment,
        transaction=closed,
        moment=moment,
        news=[News(edge.event, caller, changes["failure_code"], data)],
        changes=changes,
    )
    given = result.next_action if edge.to is PaymentStatus.REQUIRES_ACTION else None
    return replace(change, contradicts=contradicts, page=given)


def charge_of(transactions: Iterable[TransactionRow]) -> TransactionRow | None:
    """The newest charge or authorization that the provider took or is at work on."""
    asked = [
        row
        for row in transactions
        if row["type"] in ASKS
        and row["status"] != TransactionStatus.FAILED
        and not paid_twice.is_beside(row)
    ]
    return asked[-1] if asked else None


def _end_of_wait(payment: PaymentRow, void: TransactionRow) -> Verdict:
    """What a void means that the worker asked for. A hold that came of the wait meanwhile was paid
    by then, so it is no decline that ends it."""
    waits = payment["status"] == PaymentStatus.REQUIRES_ACTION
    return Verdict.NOT_PAID if void["cause"] == DECLINED and waits else Verdict.EXPIRED


def may_be_a_later_one_s(transaction: TransactionRow, of_payment: Iterable[TransactionRow]) -> bool:
    """Whether a later capture, or void, of the same hold may be the one that ended it: one that is
    open, or that the provider has surely not received. Whoever asked anew knew that the one before
    it had not ended the hold, so of what may have done it the newest is taken."""
    return any(
        row["type"] == transaction["type"]
        and row["number"] > transaction["number"]
        and (row["status"] in OPEN or row["failure_code"] == NOT_RECEIVED)
        for row in of_payment
    )


def _is_anothers(transaction: TransactionRow, others: Iterable[TransactionRow]) -> bool:
    """Whether it is a void or a capture of a hold that another one ended. Most providers only say
    how the hold stands, and not by which request."""
    return transaction["type"] in (TransactionType.VOID, TransactionType.CAPTURE) and any(
        row["type"] == transaction["type"] and row["status"] == TransactionStatus.SUCCESS
        for row in others
    )


def _not_captured(closed: TransactionRow) -> TransactionRow:
    """A capture whose yes was another one's: a hold is captured once."""
    return {
        **closed,
        "status": TransactionStatus.FAILED,
        "amount_approved": None,
        "failure_code": "not_capturable",
        "failure_message": "another request captured the hold",
    }


def _noted(
    payment: PaymentRow, closed: TransactionRow, caller: Caller, moment: datetime
) -> Change | None:
    """The payment has moved on past this request. A no closes the request and moves nothing else,
    and so does the yes to a void of what holds nothing any more: a look-up of the charge was
    quicker. Any other yes that fits nowhere stays open, to be looked up and alarmed."""
    released = closed["type"] == TransactionType.VOID and payment["status"] in DEAD
    if closed["status"] != TransactionStatus.FAILED and not released:
        return None
    return transitions.plan(
        payment=payment,
        transaction=closed,
        moment=moment,
        news=[News("payment.noted", caller, closed["failure_code"])],
        changes={},
    )


def _is_news(transaction: TransactionRow, verdict: Verdict) -> bool:
    if transaction["status"] == TransactionStatus.PROCESSING:
        return True
    if transaction["type"] == TransactionType.REFUND and verdict is Verdict.DECLINED:
        return bool(transaction["status"] == TransactionStatus.SUCCESS)
    if transaction["status"] == TransactionStatus.REQUIRES_ACTION:
        return verdict is not Verdict.REQUIRES_ACTION
    return transaction["status"] == TransactionStatus.FAILED and verdict is Verdict.APPROVED


def _closed(
    transaction: TransactionRow, verdict: Verdict, result: Result, moment: datetime
) -> TransactionRow:
    """The transaction as the outcome leaves it."""
    approved = verdict is Verdict.APPROVED
    waiting = verdict is Verdict.REQUIRES_ACTION
    again = moment + timedelta(seconds=settings().resolution_first_lookup_seconds)
    return {
        **transaction,
        "status": _STATUS.get(verdict, TransactionStatus.FAILED),
        "amount_approved": (result.amount_approved or transaction["amount"]) if approved else None,
        "provider_reference": result.provider_reference or transaction["provider_reference"],
        "fee": transaction["fee"] if result.fee is None else result.fee,
        "failure_code": None if approved or waiting else _failure_code(verdict, result),
        "failure_message": None if approved or waiting else result.failure_message,
        # A no counts from when we hear it: so long is it watched.
        "occurred_at": (result.occurred_at if approved or waiting else None) or moment,
        "due_at": again if waiting else _hastened(transaction, moment),
        "leased_until": None,
    }


def _hastened(transaction: TransactionRow, moment: datetime) -> datetime | None:
    """When it is looked up all the same: who had it hastened while a look-up was under way knew
    more than that may have seen. By itself, a look-up's lease is due in the future."""
    due = transaction["due_at"]
    under_way = transaction["leased_until"] is not None
    return due if under_way and due is not None and due <= moment else None


def _failure_code(verdict: Verdict, result: Result) -> str:
    named = {
        Verdict.NOT_SENT: "provider_unavailable",
        Verdict.NOT_RECEIVED: NOT_RECEIVED,
        Verdict.EXPIRED: "expired",
        Verdict.CANCELLED: "cancelled",
    }
    return named.get(verdict) or result.failure_code or "provider_declined"


def _payment_changes(
    payment: PaymentRow, closed: TransactionRow, to: PaymentStatus, result: Result, moment: datetime
) -> PaymentChanges:
    # That it is over says its status; which request ended it, a void or a look-up of the charge, is
    # no difference to who reads it.
    over = to in (PaymentStatus.CANCELLED, PaymentStatus.EXPIRED)
    changes: PaymentChanges = {
        "status": to,
        "failure_code": None if over else closed["failure_code"],
        "failure_message": None if over else closed["failure_message"],
        "next_action": _next_action(payment, result)
        if to is PaymentStatus.REQUIRES_ACTION
        else None,
        "expires_at": _expiry(payment, closed, to, moment),
        "completed_at": None
        if to in (PaymentStatus.AUTHORIZED, PaymentStatus.REQUIRES_ACTION)
        else moment,
    }
    approved = closed["amount_approved"]
    if closed["type"] in ASKS:
        changes["provider_reference"] = closed["provider_reference"]
        if approved is not None:
            changes["authorized"] = approved
            changes["authorization_code"] = result.authorization_code
    if to is PaymentStatus.SUCCESS and approved is not None:
        changes["captured"] = approved
        changes["captured_at"] = moment
    if to in DEAD:
        changes["captured"] = 0
    return changes


def _next_action(payment: PaymentRow, result: Result) -> dict[str, object] | None:
    if result.next_action is None:
        return payment["next_action"]
    return pages.public_part(result.next_action)


def _expiry(
    payment: PaymentRow, closed: TransactionRow, to: PaymentStatus, moment: datetime
) -> datetime | None:
    """When a hold or a wait for the payer is over. One that stands again keeps its time; if it is
    over, and the void for it was in vain, the next is a little later. A hold that a wait led to has
    a time of its own."""
    lasts = {
        PaymentStatus.REQUIRES_ACTION: settings().action_ttl,
        PaymentStatus.AUTHORIZED: settings().authorization_ttl,
    }
    if to not in lasts:
        return None
    kept: datetime | None = payment["expires_at"]
    if kept is None or closed["type"] in ASKS:
        return moment + timedelta(seconds=lasts[to])
    over = kept <= moment and closed["type"] == TransactionType.VOID
    return moment + refund_outcomes.pause_after(closed) if over else kept
