"""Disputes that are looked up: each day, and soon after each webhook."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import structlog
from sqlalchemy import text

from payment_service.domain.callers import WORKER
from payment_service.extensions import db
from payment_service.providers.contract import Extra, OutcomeUnknown
from payment_service.providers.disputes import Disputes
from payment_service.services.moves.contested import take_in
from payment_service.services.moves.operations import providers

log = structlog.get_logger(__name__)

BATCH = 20
_LEASE = text("""
    UPDATE disputes SET due_at = :until
    WHERE dispute_id IN (
        SELECT dispute_id FROM disputes WHERE due_at <= :now
        ORDER BY due_at LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING dispute_id, payment_id, provider, provider_dispute_id
""")


def run_once() -> dict[str, int]:
    """Asks the providers about those that are due. Any number of workers may run it at once."""
    now = datetime.now(UTC)
    values = {"now": now, "until": now + timedelta(minutes=5), "batch": BATCH}
    with db.engine.begin() as connection:
        due = connection.execute(_LEASE, values).all()
    moved = sum(_looked_up(row) for row in due)
    return {"looked_up": len(due), "moved": moved, "more": len(due) // BATCH}


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
            connection, theirs, payment_id=row.payment_id, provider=row.provider, caller=WORKER
        )
