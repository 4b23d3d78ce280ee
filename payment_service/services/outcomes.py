"""What an outcome does to a payment: pure planning, from rows to a Change."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog

from payment_service.config import settings
from payment_service.domain import states
from payment_service.domain.callers import Caller
from payment_service.domain.states import Outcome as Word
from payment_service.domain.vocabulary import (
    DEAD,
    PaymentStatus,
    TransactionStatus,
    TransactionType,
)
from payment_service.providers.contract import Outcome, Result
from payment_service.services import transitions
from payment_service.services.rows import Row
from payment_service.services.transitions import Change, News

log = structlog.get_logger(__name__)

ASKS = (TransactionType.CHARGE, TransactionType.AUTHORIZATION)

_STATUS = {
    Word.APPROVED: TransactionStatus.SUCCESS,
    Word.REQUIRES_ACTION: TransactionStatus.REQUIRES_ACTION,
}


def word_of(result: Result) -> Word | None:
    """The result as the table of edges names it; None while the provider itself is not sure."""
    return None if result.outcome is Outcome.PENDING else Word(result.outcome)


def plan(
    *,
    payment: Row,
    transaction: Row,
    word: Word,
    result: Result,
    caller: Caller,
    moment: datetime,
) -> Change | None:
    """What the outcome `word` of `transaction` changes; None if it moves nothing.

    A repeat and weaker news (a late no after a yes) move nothing. Evidence that money moved after
    we had said that it did not, does.
    """
    if not _is_news(transaction, word):
        return None
    closed = _closed(transaction, word, result, moment)
    if transaction["type"] == TransactionType.REFUND:
        return _plan_refund(payment, transaction, closed, word, caller, moment)
    if transaction["cause"] == "expiry" and word is Word.APPROVED:
        word = Word.EXPIRED
    try:
        edge = transitions.edge_of(payment, transaction["type"], word)
    except states.IllegalEdge as error:
        log.warning("outcome_without_edge", payment_id=payment["payment_id"], edge=str(error))
        return None
    changes = _payment_changes(payment, closed, edge.to, result, moment)
    data = {"contradicted": True} if edge.contradicts else {}
    return transitions.plan(
        payment=payment,
        transaction=closed,
        moment=moment,
        news=[News(edge.event, caller, closed["failure_code"], data)],
        status=edge.to,
        **changes,
    )


def _is_news(transaction: Row, word: Word) -> bool:
    if transaction["status"] == TransactionStatus.PROCESSING:
        return True
    if transaction["status"] == TransactionStatus.REQUIRES_ACTION:
        return word is not Word.REQUIRES_ACTION
    return transaction["status"] == TransactionStatus.FAILED and word is Word.APPROVED


def _closed(transaction: Row, word: Word, result: Result, moment: datetime) -> Row:
    """The transaction as the outcome leaves it."""
    approved = word is Word.APPROVED
    waiting = word is Word.REQUIRES_ACTION
    again = moment + timedelta(seconds=settings().resolution_first_lookup_seconds)
    return {
        **transaction,
        "status": _STATUS.get(word, TransactionStatus.FAILED),
        "amount_approved": (result.amount_approved or transaction["amount"]) if approved else None,
        "provider_reference": result.provider_reference or transaction["provider_reference"],
        "fee": result.fee,
        "failure_code": None if approved or waiting else _failure_code(word, result),
        "failure_message": None if approved or waiting else result.failure_message,
        "occurred_at": result.occurred_at or moment,
        "due_at": again if waiting else None,
    }


def _failure_code(word: Word, result: Result) -> str:
    named = {
        Word.NOT_SENT: "provider_unavailable",
        Word.NOT_RECEIVED: "not_received",
        Word.EXPIRED: "expired",
        Word.CANCELLED: "cancelled",
    }
    return named.get(word) or result.failure_code or "provider_declined"


def _payment_changes(
    payment: Row, closed: Row, to: PaymentStatus, result: Result, moment: datetime
) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "failure_code": closed["failure_code"],
        "failure_message": closed["failure_message"],
        "next_action": result.next_action if to is PaymentStatus.REQUIRES_ACTION else None,
        "expires_at": _expiry(payment, to, moment),
        "completed_at": None
        if to in (PaymentStatus.AUTHORIZED, PaymentStatus.REQUIRES_ACTION)
        else moment,
    }
    if closed["type"] in ASKS:
        changes["provider_reference"] = closed["provider_reference"]
        if closed["status"] == TransactionStatus.SUCCESS:
            changes["authorized"] = closed["amount_approved"]
            changes["authorization_code"] = result.authorization_code
    if to is PaymentStatus.SUCCESS:
        changes["captured"] = closed["amount_approved"]
        changes["captured_at"] = moment
    if to in DEAD:
        changes["captured"] = 0
    return changes


def _expiry(payment: Row, to: PaymentStatus, moment: datetime) -> datetime | None:
    """When a hold or a wait for the payer is over. One that stands again keeps its time."""
    if to is PaymentStatus.REQUIRES_ACTION:
        return moment + timedelta(seconds=settings().action_ttl)
    if to is PaymentStatus.AUTHORIZED:
        kept: datetime | None = payment["expires_at"]
        return kept or moment + timedelta(seconds=settings().authorization_ttl)
    return None


def _plan_refund(
    payment: Row, before: Row, closed: Row, word: Word, caller: Caller, moment: datetime
) -> Change | None:
    """A refund's end: the ceiling's pending part is settled, the payment's status follows.

    One that comes in after it was given up has nothing pending any more.
    """
    if word is Word.REQUIRES_ACTION:
        return None
    amount = closed["amount"]
    details = {"refund": {"transaction_reference": closed["reference"], "amount_minor": amount}}
    was_open = before["status"] == TransactionStatus.PROCESSING
    pending = payment["refund_pending"] - (amount if was_open else 0)
    if word is not Word.APPROVED:
        return transitions.plan(
            payment=payment,
            transaction=closed,
            moment=moment,
            news=[News("refund.failed", caller, closed["failure_code"], details)],
            refund_pending=pending,
        )
    refunded = payment["refunded"] + amount
    share = Word.WHOLLY if refunded == payment["captured"] else Word.PARTLY
    edge = transitions.edge_of(payment, TransactionType.REFUND, share)
    return transitions.plan(
        payment=payment,
        transaction=closed,
        moment=moment,
        news=[News("refund.succeeded", caller, None, details), News(edge.event, caller)],
        status=edge.to,
        refunded=refunded,
        refund_pending=pending,
    )
