"""Disputes that are looked up, each day and soon after each webhook; and those to be watched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import structlog
from sqlalchemy import Connection, func, select, text

from payment_service.config import settings
from payment_service.domain import money
from payment_service.domain.callers import WORKER
from payment_service.domain.disputes import DisputeStatus, TheirDispute
from payment_service.extensions import db
from payment_service.providers.contract import Extra, OutcomeUnknown
from payment_service.providers.disputes import Disputes
from payment_service.services.moves.contested import DISPUTE, OPEN, payment_of, take_in
from payment_service.services.moves.operations import providers

log = structlog.get_logger(__name__)

BATCH = 20
LISTED = timedelta(days=7)
"""How far back providers are asked for disputes that nobody told of: a worker that was away for
longer has them by their next webhook."""
_LEASE = text("""
    UPDATE disputes SET due_at = :until
    WHERE dispute_id IN (
        SELECT dispute_id FROM disputes WHERE due_at <= :now
        ORDER BY due_at LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING dispute_id, payment_id, provider, provider_dispute_id
""")


@dataclass(frozen=True)
class OpenDisputes:
    """Those of one provider in one currency that have not ended: how many, their amount in major
    units, and how many of them want evidence within DISPUTE_ALARM_HOURS."""

    provider: str
    currency: str
    count: int
    amount: Decimal
    due_soon: int


def open_ones(connection: Connection) -> list[OpenDisputes]:
    """All of them, by an index of those that have not ended."""
    soon = datetime.now(UTC) + timedelta(hours=settings().dispute_alarm_hours)
    wanted = DISPUTE.c.status == DisputeStatus.NEEDS_RESPONSE
    query = (
        select(
            *(DISPUTE.c.provider, DISPUTE.c.currency),
            func.count().label("count"),
            func.sum(DISPUTE.c.amount).label("amount"),
            func.count().filter(wanted, DISPUTE.c.evidence_due_at < soon).label("due_soon"),
        )
        .where(DISPUTE.c.status.in_(OPEN))
        .group_by(DISPUTE.c.provider, DISPUTE.c.currency)
    )
    return [
        OpenDisputes(
            provider=row.provider,
            currency=row.currency,
            count=row[2],
            amount=money.to_decimal(int(row.amount), row.currency),
            due_soon=row.due_soon,
        )
        for row in connection.execute(query)
    ]


def run_once() -> dict[str, int]:
    """Asks the providers about those that are due. Any number of workers may run it at once."""
    now = datetime.now(UTC)
    values = {"now": now, "until": now + timedelta(minutes=5), "batch": BATCH}
    with db.engine.begin() as connection:
        due = connection.execute(_LEASE, values).all()
    moved = sum(_looked_up(row) for row in due)
    return {"looked_up": len(due), "moved": moved, "more": len(due) // BATCH}


def list_them() -> dict[str, int]:
    """Asks each provider for the disputes of the last days: no webhook may have told of one. Any
    number of workers may run it."""
    moment = datetime.now(UTC) - LISTED
    counts = {"listed": 0, "new": 0}
    for provider in providers().all():
        if Extra.DISPUTES not in provider.capabilities:
            continue
        try:
            for theirs in cast(Disputes, provider).disputes_since(moment):
                counts["listed"] += 1
                counts["new"] += _taken_in(provider.name, theirs)
        except OutcomeUnknown as error:
            log.warning("disputes_not_listed", provider=provider.name, why=str(error))
    return counts


def _taken_in(provider: str, theirs: TheirDispute) -> bool:
    with db.engine.begin() as connection:
        payment_id = payment_of(connection, provider=provider, charge=theirs.charge)
        if payment_id is None:
            return False
        return take_in(connection, theirs, payment_id=payment_id, provider=provider, caller=WORKER)


def _looked_up(row: Any) -> bool:
    provider = providers().find(row.provider)
    if provider is None or Extra.DISPUTES not in provider.capabilities:
        return False
    try:
        theirs = cast(Disputes, provider).dispute(row.provider_dispute_id)
    except OutcomeUnknown:
        return False  # the lease's end brings it back
    if theirs is None:
        log.error("dispute_not_there", dispute_id=row.dispute_id)
        return False
    with db.engine.begin() as connection:
        return take_in(
            connection,
            theirs,
            payment_id=row.payment_id,
            provider=row.provider,
            caller=WORKER,
            is_current=True,
        )
