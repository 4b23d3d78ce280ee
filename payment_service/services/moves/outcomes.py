"""What an outcome does to a payment: pure planning, from rows to a Change."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from payment_service.config import settings
from payment_service.domain import states
from payment_service.domain.callers import Caller
from payment_service.domain.states import Verdict
from payment_service.domain.vocabulary import (
    DEAD,
    PaymentStatus,
    TransactionStatus,
    TransactionType,
)
from payment_service.providers.contract import Outcome, Result
from payment_service.services.moves import refund_outcomes, transitions
from payment_service.services.moves.rows import (
    PaymentChanges,
    PaymentRow,
    RefundRow,
    TransactionRow,
)
from payment_service.services.moves.transitions import Change, News

log = structlog.get_logger(__name__)

ASKS = (TransactionType.CHARGE, TransactionType.AUTHORIZATION)

_WAITING = TransactionStatus.REQUIRES_ACTION
_STATUS = {
    Verdict.APPROVED: TransactionStatus.SUCCESS,
    Verdict.REQUIRES_ACTION: _WAITING,
}


def verdict_of(result: Result, transaction: TransactionRow) -> Verdict | None:
    """The result as the table of edges names it; None where it decides nothing: the provider is not
    sure itself, or it waits for the payer as before, or where no payer can act."""
    if result.outcome is Outcome.PENDING:
        return None
    can_wait = transaction["type"] in ASKS and transaction["status"] != _WAITING
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
) -> Change | None:
    """What the `verdict` of `transaction` changes; None if it moves nothing. `refund` is the
    row that a request of type REFUND is about, `reason` that of a person who says it was given.

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
    if transaction["cause"] == "expiry" and verdict is Verdict.APPROVED:
        verdict = Verdict.EXPIRED
    try:
        edge = transitions.edge_of(payment, transaction["type"], verdict)
    except states.IllegalEdge as error:
        log.warning("outcome_without_edge", payment_id=payment["payment_id"], edge=str(error))
        return _noted(payment, closed, caller, moment)
    changes = _payment_changes(payment, closed, edge.to, result, moment)
    # A request that was given up and did it all the same overturns what its caller was told, also
    # where another one is under way by now.
    contradicts = edge.contradicts or transaction["status"] == TransactionStatus.FAILED
    data = {"contradicted": True} if contradicts else {}
    change = transitions.plan(
        payment=payment,
        transaction=closed,
        moment=moment,
        news=[News(edge.event, caller, closed["failure_code"], data)],
        changes=changes,
    )
    return replace(change, contradicts=contradicts)


def _noted(
    payment: PaymentRow, closed: TransactionRow, caller: Caller, moment: datetime
) -> Change | None:
    """The payment has moved on past this request. A no closes the request and moves nothing else;
    a yes that fits nowhere stays open, to be looked up and alarmed."""
    if closed["status"] != TransactionStatus.FAILED:
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
        "occurred_at": result.occurred_at or moment,
        "due_at": again if waiting else None,
    }


def _failure_code(verdict: Verdict, result: Result) -> str:
    named = {
        Verdict.NOT_SENT: "provider_unavailable",
        Verdict.NOT_RECEIVED: "not_received",
        Verdict.EXPIRED: "expired",
        Verdict.CANCELLED: "cancelled",
    }
    return named.get(verdict) or result.failure_code or "provider_declined"


def _payment_changes(
    payment: PaymentRow, closed: TransactionRow, to: PaymentStatus, result: Result, moment: datetime
) -> PaymentChanges:
    changes: PaymentChanges = {
        "status": to,
        "failure_code": closed["failure_code"],
        "failure_message": closed["failure_message"],
        "next_action": (result.next_action or payment["next_action"])
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


def _expiry(
    payment: PaymentRow, closed: TransactionRow, to: PaymentStatus, moment: datetime
) -> datetime | None:
    """When a hold or a wait for the payer is over. One that stands again keeps its time; if it is
    over, and the void for it was in vain, the next is a little later."""
    lasts = {
        PaymentStatus.REQUIRES_ACTION: settings().action_ttl,
        PaymentStatus.AUTHORIZED: settings().authorization_ttl,
    }
    if to not in lasts:
        return None
    kept: datetime | None = payment["expires_at"]
    if kept is None:
        return moment + timedelta(seconds=lasts[to])
    over = kept <= moment and closed["type"] == TransactionType.VOID
    return moment + refund_outcomes.pause_after(closed) if over else kept
