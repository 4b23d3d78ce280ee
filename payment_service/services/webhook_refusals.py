"""Webhooks that were not believed: counted, and the last of them in numbered slots, which are
written over, so that no number of them fills anything."""

from __future__ import annotations

import hashlib

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from payment_service.config import settings
from payment_service.extensions import HOT, db
from payment_service.providers.webhooks import Incoming, RefusedFor
from payment_service.telemetry import metrics

log = structlog.get_logger(__name__)

# The number is that of all refusals there ever were, and gives the slot.
_WRITE = text("""
    WITH next AS (
        SELECT nextval(pg_get_serial_sequence('webhook_refusals', 'number')) AS number)
    INSERT INTO webhook_refusals (slot, number, at, provider, address, size, hash, reason)
    SELECT number % :keep, number, :at, :provider, :address, :size, :hash, :reason FROM next
    ON CONFLICT (slot) DO UPDATE SET
        number = excluded.number, at = excluded.at, provider = excluded.provider,
        address = excluded.address, size = excluded.size, hash = excluded.hash,
        reason = excluded.reason
    WHERE webhook_refusals.number < excluded.number
""")


def count(*, provider: str, reason: RefusedFor) -> None:
    """Every one is counted, also where it is not written down."""
    metrics.WEBHOOKS_REFUSED.labels(provider, reason).inc()
    metrics.WEBHOOKS.labels(provider, "other", "REFUSED").inc()


def write(*, provider: str, reason: RefusedFor, incoming: Incoming, address: str | None) -> None:
    """Writes it into its slot, without its body. A database that can't take it is no matter: it is
    refused all the same."""
    values = {
        "keep": settings().webhook_refusals_keep,
        "at": incoming.received_at,
        "provider": provider,
        "address": address,
        "size": len(incoming.body),
        "hash": hashlib.sha256(incoming.body).hexdigest(),
        "reason": reason,
    }
    log.warning("webhook_refused", provider=provider, reason=reason)
    try:
        with db.engines[HOT].connect() as connection:
            connection.execute(_WRITE, values)
    except SQLAlchemyError as error:
        log.warning("webhook_refusal_not_written", error=type(error).__name__)


def shrink() -> int:
    """Deletes slots that are no more, where WEBHOOK_REFUSALS_KEEP was made smaller."""
    gone = text("DELETE FROM webhook_refusals WHERE slot >= :keep")
    with db.engine.begin() as connection:
        return connection.execute(gone, {"keep": settings().webhook_refusals_keep}).rowcount
