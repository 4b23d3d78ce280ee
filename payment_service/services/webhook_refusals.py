"""Webhooks that were not believed: counted, and the last of them in numbered slots, which are
written over, so that no number of them fills anything."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from datetime import datetime

import psycopg2
import structlog
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import bind_contextvars

from payment_service.config import settings
from payment_service.extensions import db
from payment_service.models import WebhookRefusal
from payment_service.providers.webhooks import Incoming, RefusedFor
from payment_service.statements import Disconnected, Statement, hot
from payment_service.telemetry import metrics

log = structlog.get_logger(__name__)

REFUSAL = WebhookRefusal.__table__

# The number is that of all refusals there ever were, and gives the slot. Nothing is lost that was
# promised to anybody, so nobody waits for the disk: the setting holds for this one statement, which
# is a transaction by itself. The wait was four fifths of what this took.
WRITE = Statement(
    "write_webhook_refusal",
    """
    WITH next AS MATERIALIZED (
        SELECT nextval('webhook_refusals_number_seq') AS number,
               set_config('synchronous_commit', 'off', true))
    INSERT INTO webhook_refusals (slot, number, at, provider, address, size, hash, reason)
    SELECT number % :keep, number, :at, :provider, :address, :size, :hash, :reason FROM next
    ON CONFLICT (slot) DO UPDATE SET
        number = excluded.number, at = excluded.at, provider = excluded.provider,
        address = excluded.address, size = excluded.size, hash = excluded.hash,
        reason = excluded.reason
    WHERE webhook_refusals.number < excluded.number
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
    """Every one is counted, also where it is not written down, and the request's line in the log
    says why: a line of its own took as long as writing it into its slot."""
    bind_contextvars(webhook_refused=reason.value)
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
    try:
        with hot() as connection:
            WRITE.one(connection, values)
    except (Disconnected, psycopg2.Error, SQLAlchemyError) as error:
        log.warning("webhook_refusal_not_written", error=type(error).__name__)


@dataclass(frozen=True)
class Refusal:
    """One that was not believed. `number` counts all that there ever were; `hash` is its body's."""

    number: int
    at: datetime
    provider: str
    address: str | None
    size: int
    hash: str
    reason: str


SHOWN = 50


def last() -> list[Refusal]:
    """The newest of those that are kept, of which there are WEBHOOK_REFUSALS_KEEP."""
    columns = [REFUSAL.c[field.name] for field in fields(Refusal)]
    query = select(*columns).order_by(REFUSAL.c.number.desc()).limit(SHOWN)
    with db.engine.connect() as connection:
        return [Refusal(**row) for row in connection.execute(query).mappings()]


def shrink() -> int:
    """Deletes slots that are no more, where WEBHOOK_REFUSALS_KEEP was made smaller."""
    gone = text("DELETE FROM webhook_refusals WHERE slot >= :keep")
    with db.engine.begin() as connection:
        return connection.execute(gone, {"keep": settings().webhook_refusals_keep}).rowcount
