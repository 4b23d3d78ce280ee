"""Webhooks that were not believed: counted, and the last of them in numbered slots, which are
written over, so that no number of them fills anything."""

from __future__ import annotations

import hashlib

import psycopg2
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from payment_service.config import settings
from payment_service.extensions import db
from payment_service.providers.webhooks import Incoming, RefusedFor
from payment_service.statements import Disconnected, Statement, hot
from payment_service.telemetry import metrics

log = structlog.get_logger(__name__)

# The number is that of all refusals there ever were, and gives the slot. Nearly always the slot is
# there, and is written over where it lies; an INSERT that finds it there would write twice as much.
# Nothing is lost that anybody was promised, so nobody waits for the disk: the setting holds for
# this transaction, which is this statement.
_WRITE = Statement(
    "write_webhook_refusal",
    """
    WITH next AS MATERIALIZED (
        SELECT nextval('webhook_refusals_number_seq') AS number,
               set_config('synchronous_commit', 'off', true) AS unawaited),
    written_over AS (
        UPDATE webhook_refusals SET
            number = next.number, at = :at, provider = :provider, address = :address,
            size = :size, hash = :hash, reason = :reason
        FROM next
        WHERE slot = next.number % :keep AND webhook_refusals.number < next.number
        RETURNING slot)
    INSERT INTO webhook_refusals (slot, number, at, provider, address, size, hash, reason)
    SELECT number % :keep, number, :at, :provider, :address, :size, :hash, :reason
    FROM next WHERE NOT EXISTS (SELECT FROM written_over)
    ON CONFLICT (slot) DO NOTHING
    RETURNING slot
    """,
    {
        "keep": "integer",
        "at": "timestamptz",
        "provider": "text",
        "address": "text",
        "size": "integer",
        "hash": "text",
        "reason": "text",
    },
)


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
        "reason": reason.value,
    }
    # A plain text: what is not one is masked as its repr, which takes as long as the line.
    log.warning("webhook_refused", provider=provider, reason=reason.value)
    try:
        with hot() as connection:
            _WRITE.one(connection, values)
    except (Disconnected, psycopg2.Error, SQLAlchemyError) as error:
        log.warning("webhook_refusal_not_written", error=type(error).__name__)


def shrink() -> int:
    """Deletes slots that are no more, where WEBHOOK_REFUSALS_KEEP was made smaller."""
    gone = text("DELETE FROM webhook_refusals WHERE slot >= :keep")
    with db.engine.begin() as connection:
        return connection.execute(gone, {"keep": settings().webhook_refusals_keep}).rowcount
