"""What the outcome of a refund does to its payment and to the refund's own row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from payment_service.domain.callers import Caller
from payment_service.domain.states import Verdict
from payment_service.domain.vocabulary import RefundStatus, TransactionStatus, TransactionType
from payment_service.services.moves import paid_twice, transitions
from payment_service.services.moves.rows import PaymentRow, RefundRow, TransactionRow
from payment_service.services.moves.transitions import Change, News

log = structlog.get_logger(__name__)

TAKEN_BACK = "taken_back"
"""Failure code of a refund that had succeeded until its provider said otherwise."""

# A void or refund that the worker asked for in vain: after a no it won't be yes soon, but a
# provider that could not be asked may be back in a minute.
_AFTER_A_NO = timedelta(hours=1)
_AFTER_SILENCE = timedelta(minutes=1)


def pause_after(closed: TransactionRow) -> timedelta:
    """How long the worker waits before it asks again to end the payment: after silence each time a
    minute longer, since each try is a request of the payment's, and those are numbered."""
    silent = closed["failure_code"] in ("provider_unavailable", "not_received")
    return min(_AFTER_SILENCE * closed["number"], _AFTER_A_NO) if silent else _AFTER_A_NO


def plan(
    payment: PaymentRow,
    before: TransactionRow,
    closed: TransactionRow,
    refund: RefundRow,
    verdict: Verdict,
    caller: Caller,
    moment: datetime,
    reason: str | None,
) -> Change | None:
    """A refund's end: the ceiling's pending part is settled, the payment's status follows. `reason`
    is that of a person who says that it was given.

    One that comes in after it was given up has nothing pending any more.
    """
    if verdict is Verdict.REQUIRES_ACTION:
        return None
    amount = closed["amount"]
    details = {"refund": {"transaction_reference": closed["reference"], "amount_minor": amount}}
    if paid_twice.is_beside(closed):
        return _beside(payment, before, closed, refund, details, caller, moment)
    if before["status"] == TransactionStatus.SUCCESS:
        return _taken_back(payment, closed, refund, details, caller, moment)
    was_open = before["status"] == TransactionStatus.PROCESSING
    pending = payment["refund_pending"] - (amount if was_open else 0)
    surplus = payment["expires_at"] is not None
    if verdict is not Verdict.APPROVED:
        return transitions.plan(
            payment=payment,
            transaction=closed,
            refund=_ended(refund, closed, moment),
            moment=moment,
            news=[News("refund.failed", caller, closed["failure_code"], details)],
            changes={
                "refund_pending": pending,
                "expires_at": moment + pause_after(closed) if surplus else None,
            },
        )
    refunded = payment["refunded"] + amount
    if refunded + pending > payment["captured"]:
        # It was given up, and others took its room since: more went back than was captured. There
        # is no true row for that until one of them fails; it stays due, and in the alarm.
        log.error("refunds_beyond_captured", reference=closed["reference"])
        return None
    how_much = Verdict.WHOLLY if refunded == payment["captured"] else Verdict.PARTLY
    edge = transitions.edge_of(payment, TransactionType.REFUND, how_much)
    data = {} if was_open else {"contradicted": True}
    change = transitions.plan(
        payment=payment,
        transaction=closed,
        refund=_ended(refund, closed, moment),
        moment=moment,
        news=[
            News("refund.succeeded", caller, reason, details | data),
            News(edge.event, caller),
        ],
        changes={
            "status": edge.to,
            "refunded": refunded,
            "refund_pending": pending,
            # A surplus stays one until all of it went back.
            "expires_at": None if how_much is Verdict.WHOLLY else payment["expires_at"],
        },
    )
    return replace(change, contradicts=not was_open)


def _beside(
    payment: PaymentRow,
    before: TransactionRow,
    closed: TransactionRow,
    refund: RefundRow,
    details: Mapping[str, Any],
    caller: Caller,
    moment: datetime,
) -> Change:
    """What was paid twice went back, or did not: the payment itself stays as it is."""
    ended = _ended(refund, closed, moment)
    late = before["status"] == TransactionStatus.FAILED
    if before["status"] == TransactionStatus.SUCCESS:
        closed = {**closed, "failure_code": TAKEN_BACK}
        ended = _undone(refund, closed, moment)
    data = {"contradicted": True} if late else {}
    given = closed["status"] == TransactionStatus.SUCCESS
    change = transitions.plan(
        payment=payment,
        transaction=closed,
        refund=ended,
        moment=moment,
        news=[
            News(
                "refund.succeeded" if given else "refund.failed",
                caller,
                closed["failure_code"],
                {**details, **data},
            )
        ],
        changes={},
    )
    return replace(change, contradicts=late)


def _taken_back(
    payment: PaymentRow,
    closed: TransactionRow,
    refund: RefundRow,
    details: Mapping[str, Any],
    caller: Caller,
    moment: datetime,
) -> Change:
    """The provider takes back a refund that had succeeded; what is refunded goes down again."""
    refunded = payment["refunded"] - closed["amount"]
    verdict = Verdict.TAKEN_BACK_TO_PART if refunded else Verdict.TAKEN_BACK_TO_NONE
    edge = transitions.edge_of(payment, TransactionType.REFUND, verdict)
    closed = {**closed, "failure_code": TAKEN_BACK}
    return transitions.plan(
        payment=payment,
        transaction=closed,
        refund=_undone(refund, closed, moment),
        moment=moment,
        news=[News("refund.failed", caller, TAKEN_BACK, details), News(edge.event, caller)],
        changes={"status": edge.to, "refunded": refunded},
    )


def _ended(refund: RefundRow, closed: TransactionRow, moment: datetime) -> RefundRow:
    """The refund as the outcome of its request leaves it."""
    succeeded = closed["status"] == TransactionStatus.SUCCESS
    return {
        **refund,
        "status": RefundStatus.SUCCESS if succeeded else RefundStatus.FAILED,
        "provider_reference": closed["provider_reference"],
        "failure_code": closed["failure_code"],
        "failure_message": closed["failure_message"],
        "updated_at": moment,
        "completed_at": moment,
    }


def _undone(refund: RefundRow, closed: TransactionRow, moment: datetime) -> RefundRow:
    """A refund that is taken back. It keeps the time at which it was given."""
    ended = _ended(refund, closed, moment)
    return {**ended, "completed_at": refund["completed_at"] or moment}
