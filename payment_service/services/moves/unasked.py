"""What a provider tells that is about no request of ours: a dispute, or a refund that somebody made
at its own page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from payment_service.domain.callers import Caller
from payment_service.domain.disputes import (
    DisputeKind,
    DisputeStatus,
    Movement,
    MovementKind,
    TheirDispute,
)
from payment_service.domain.vocabulary import WebhookStatus
from payment_service.providers.webhooks import Notice, Trust
from payment_service.services.moves import adopting, contested
from payment_service.services.moves.adopting import Adopted


@dataclass(frozen=True)
class Unasked:
    """What became of it; the payment, and the request that was written for it, if there is one."""

    status: WebhookStatus
    payment_id: int = 0
    number: int | None = None
    why: str | None = None


ORPHANED = Unasked(WebhookStatus.ORPHANED)

_STATUSES = {
    Adopted.NEW: WebhookStatus.APPLIED,
    Adopted.KNOWN: WebhookStatus.NO_NEWS,
    Adopted.NOTHING: WebhookStatus.NO_NEWS,
    # To be tried again, once what is under way has ended.
    Adopted.CROWDED: WebhookStatus.ORPHANED,
    Adopted.BEYOND: WebhookStatus.MISMATCH,
    Adopted.UNFIT: WebhookStatus.MISMATCH,
}
_WHY = {
    Adopted.BEYOND: "a refund that is not ours, of more than was captured",
    Adopted.UNFIT: "a refund that is not ours, of another currency or of nothing captured",
}


def take(
    connection: Connection, provider: str, notice: Notice, trust: Trust, caller: Caller
) -> Unasked:
    """Takes in what the notice says, if it is signed; else nobody knows whose it is. In the
    connection's transaction, which must end soon: it locks the payment."""
    if trust is not Trust.SIGNED:
        return ORPHANED
    if notice.dispute is not None:
        return _dispute(connection, provider, notice, notice.dispute, caller)
    return _refund(connection, provider, notice, caller)


def _dispute(
    connection: Connection, provider: str, notice: Notice, theirs: TheirDispute, caller: Caller
) -> Unasked:
    payment_id = contested.payment_of(connection, provider=provider, charge=theirs.charge)
    if payment_id is None:
        return ORPHANED
    if notice.mismatch is not None:
        return Unasked(WebhookStatus.MISMATCH, payment_id, why=notice.mismatch)
    is_news = contested.take_in(
        connection, theirs, payment_id=payment_id, provider=provider, caller=caller, soon=True
    )
    return Unasked(WebhookStatus.APPLIED if is_news else WebhookStatus.NO_NEWS, payment_id)


def _refund(connection: Connection, provider: str, notice: Notice, caller: Caller) -> Unasked:
    result, charge = notice.result, notice.gives_back
    amount, currency = notice.amount, notice.currency
    if result is None or charge is None or amount is None or currency is None:
        return ORPHANED
    refund = adopting.TheirRefund(provider, charge, amount, currency, result)
    payment_id = adopting.payment_of(connection, refund)
    if payment_id is None:
        return ORPHANED
    if notice.mismatch is not None:
        return Unasked(WebhookStatus.MISMATCH, payment_id, why=notice.mismatch)
    adopted, number = adopting.adopt(
        connection, refund, payment_id=payment_id, request_id=caller.request_id
    )
    return Unasked(_STATUSES[adopted], payment_id, number, _WHY.get(adopted))


def dispute_of(said: Mapping[str, Any]) -> TheirDispute:
    """What was read of a webhook, as its row keeps it."""
    due = said["evidence_due_at"]
    return TheirDispute(
        **{
            **said,
            "kind": DisputeKind(said["kind"]),
            "status": DisputeStatus(said["status"]),
            "evidence_due_at": None if due is None else datetime.fromisoformat(due),
            "opened_at": datetime.fromisoformat(said["opened_at"]),
            "movements": tuple(
                Movement(
                    **{
                        **one,
                        "kind": MovementKind(one["kind"]),
                        "occurred_at": datetime.fromisoformat(one["occurred_at"]),
                    }
                )
                for one in said["movements"]
            ),
        }
    )
