"""Webhooks: kept in one transaction, taken in by a second one, and by the worker where that did not
come to its end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import structlog
from sqlalchemy import Connection, delete, select, text, update

from payment_service.config import settings
from payment_service.domain.acts import Act
from payment_service.domain.callers import Caller
from payment_service.domain.errors import UnverifiedWebhook, WebhookNotFound
from payment_service.domain.vocabulary import Actor, WebhookStatus
from payment_service.extensions import db
from payment_service.models.columns import Sealed
from payment_service.providers.provider import Provider
from payment_service.providers.webhooks import (
    Incoming,
    Notices,
    Receipt,
    Receiver,
    RefusedFor,
    Trust,
    WebhookRefused,
)
from payment_service.services import audit_log, notices, webhook_refusals
from payment_service.services.moves.operations import providers
from payment_service.services.notices import Applied
from payment_service.services.webhook_keeping import WEBHOOK, keep, label
from payment_service.telemetry import metrics

log = structlog.get_logger(__name__)

LEASE_SECONDS = 60.0
"""How long a worker has for its batch; one that is killed leaves it for as long."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 10.0, 3600.0
BATCH = 50
REAPED_AT_ONCE = 1000


def receiver(name: str) -> Provider | None:
    """The provider of that name, if it is on and has webhooks."""
    provider = providers().find(name)
    # Not isinstance: a protocol looks for each of its members, and this door is anybody's.
    return provider if hasattr(provider, "receive") else None


def names() -> list[str]:
    """The providers that are on and have webhooks."""
    return sorted(found.name for found in providers().all() if hasattr(found, "receive"))


def receipt(provider: Provider) -> Receipt:
    """What the provider must be told once it was heard."""
    return cast(Receiver, provider).webhook_receipt


def verified(
    *,
    provider: Provider,
    incoming: Incoming,
    address: str | None,
    expect_room: Callable[[], None],
) -> Notices:
    """What it says, if it is the provider's. Else it is counted, and written down if `expect_room`
    raises nothing. Raises UnverifiedWebhook, the same for every reason."""
    try:
        return cast(Receiver, provider).receive(incoming)
    except WebhookRefused as error:
        reason = error.reason
    except Exception as error:
        # What could not even be refused in its file can't be read either.
        log.warning("webhook_unreadable", provider=provider.name, error=type(error).__name__)
        reason = RefusedFor.UNREADABLE
    webhook_refusals.count(provider=provider.name, reason=reason)
    expect_room()
    webhook_refusals.write(
        provider=provider.name, reason=reason, incoming=incoming, address=address
    )
    raise UnverifiedWebhook("this is no webhook of that provider's")


def is_signed(said: Notices) -> bool:
    """Whether the provider surely said it."""
    return said.trust is Trust.SIGNED


def take(*, provider: Provider, said: Notices, incoming: Incoming, request_id: str | None) -> None:
    """Keeps what a provider said, and then takes it in. Once this returns the provider may be told
    that it was heard; what could not be taken in by now is the worker's.

    Raises what the database raises while it can't keep it: then the provider must send it again.
    """
    with db.engine.begin() as connection:
        # In one order, so that two deliveries of the same don't wait for each other.
        in_order = sorted(said.notices, key=lambda notice: notice.event_key)
        new = [keep(connection, provider, said.trust, notice, incoming) for notice in in_order]
    for webhook_id in new:
        if webhook_id is not None:
            process(webhook_id, request_id=request_id)


def process(webhook_id: int, *, request_id: str | None = None) -> WebhookStatus | None:
    """Takes in what was kept, in a transaction of its own that marks it, too. None if it is done
    with, or is being done. An error of ours puts it off, and after WEBHOOK_MAX_ATTEMPTS parks it.
    """
    started = time.perf_counter()
    try:
        with db.engine.begin() as connection:
            row = connection.execute(_open(webhook_id)).one_or_none()
            if row is None:
                return None
            applied = _applied(connection, row, request_id)
            connection.execute(_marked(row, applied))
    except Exception as error:
        _fail(webhook_id, error)
        return WebhookStatus.FAILED
    seconds, kind = time.perf_counter() - started, label(receiver(row.provider), row.event_type)
    metrics.WEBHOOK_SECONDS_OF.labels(row.provider).observe(seconds)
    metrics.WEBHOOK_SECONDS.observe(seconds)
    metrics.WEBHOOKS.labels(row.provider, kind, applied.status).inc()
    told = {"webhook_id": webhook_id, "provider": row.provider, "event_type": kind}
    if applied.request is not None:
        told |= applied.request._asdict()
    if applied.status is WebhookStatus.MISMATCH:
        log.error("webhook_mismatch", why=applied.why, **told)
    else:
        log.info("webhook", status=applied.status, **told)
    return applied.status


def _open(webhook_id: int) -> Any:
    """The row, locked; nothing if it is done with."""
    return (
        select(WEBHOOK)
        .where(WEBHOOK.c.webhook_id == webhook_id, WEBHOOK.c.due_at.is_not(None))
        .with_for_update()
    )


def _applied(connection: Connection, row: Any, request_id: str | None) -> Applied:
    provider = providers().get(row.provider)
    sealed: Sealed = row.body
    return notices.apply(
        connection,
        provider=provider,
        notice=notices.notice_of(sealed.opened(row.webhook_id)),
        trust=Trust(row.trust),
        caller=Caller(row.provider, Actor.PROVIDER, request_id),
    )


def _marked(row: Any, applied: Applied) -> Any:
    now = datetime.now(UTC)
    # It may be about a request whose id we are about to hear, or that a restore brings back.
    again = applied.status is WebhookStatus.ORPHANED
    values: dict[str, Any] = {
        "status": applied.status,
        "error": applied.why,
        "processed_at": now,
        "due_at": _next_try(row.attempts, now) if again else None,
    }
    if applied.request is not None:
        values |= applied.request._asdict()
    return update(WEBHOOK).where(WEBHOOK.c.webhook_id == row.webhook_id).values(values)


def _next_try(attempts: int, now: datetime) -> datetime | None:
    """Doubling, with a jitter of a fifth; None after the last."""
    if attempts >= settings().webhook_max_attempts:
        return None
    seconds = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(attempts - 1, 40))
    return now + timedelta(seconds=seconds * random.uniform(0.8, 1.2))


def _fail(webhook_id: int, error: Exception) -> None:
    """Writes down that a try failed. Where that fails as well, the try's time ends by itself."""
    log.exception("webhook_failed", webhook_id=webhook_id, exc_info=error)
    try:
        with db.engine.begin() as connection:
            row = connection.execute(_open(webhook_id)).one_or_none()
            if row is None:
                return
            due_at = _next_try(row.attempts, datetime.now(UTC))
            values = {"status": WebhookStatus.FAILED, "error": type(error).__name__}
            query = update(WEBHOOK).where(WEBHOOK.c.webhook_id == webhook_id)
            connection.execute(query.values(**values, due_at=due_at))
    except Exception:
        log.exception("webhook_not_marked", webhook_id=webhook_id)
        return
    metrics.WEBHOOK_ERRORS.labels(row.provider).inc()
    if due_at is None:
        log.error("webhook_parked", webhook_id=webhook_id, provider=row.provider)


def run_once() -> dict[str, int]:
    """Takes in what was left, each webhook by itself. Any number of workers may run it at once."""
    with db.engine.begin() as connection:
        values = {"lease": LEASE_SECONDS, "batch": BATCH}
        due = connection.execute(_LEASE, values).scalars().all()
    ended = [process(webhook_id) for webhook_id in due]
    failed = ended.count(WebhookStatus.FAILED)
    return {"webhooks": len(due) - failed, "failed": failed, "more": len(due) // BATCH}


_LEASE = text("""
    UPDATE webhooks
    SET due_at = clock_timestamp() + make_interval(secs => :lease), attempts = attempts + 1
    WHERE webhook_id IN (
        SELECT webhook_id FROM webhooks WHERE due_at <= clock_timestamp()
        ORDER BY due_at LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING webhook_id
""")


def reap() -> dict[str, int]:
    """Deletes what was done with WEBHOOK_KEEP_DAYS ago. What is parked stays: somebody must look
    at it."""
    over = datetime.now(UTC) - timedelta(days=settings().webhook_keep_days)
    waits = (WebhookStatus.RECEIVED, WebhookStatus.FAILED)
    gone = (
        select(WEBHOOK.c.webhook_id)
        .where(
            WEBHOOK.c.received_at < over,
            WEBHOOK.c.due_at.is_(None),
            WEBHOOK.c.status.not_in(waits),
        )
        .order_by(WEBHOOK.c.received_at)
        .limit(REAPED_AT_ONCE)
    )
    with db.engine.begin() as connection:
        reaped = connection.execute(delete(WEBHOOK).where(WEBHOOK.c.webhook_id.in_(gone))).rowcount
    webhook_refusals.shrink()
    return {"reaped": reaped, "more": reaped // REAPED_AT_ONCE}


def replay(
    *, webhook_id: int, caller: Caller, if_so: Callable[[Mapping[str, Any]], bool] | None = None
) -> bool:
    """Takes it in once more, from what was kept, with all its attempts before it; who did it is
    written down. One that was ignored stays so, and so does one whose row `if_so` does not like:
    False. Raises WebhookNotFound."""
    now = datetime.now(UTC)
    values = {"status": WebhookStatus.RECEIVED, "due_at": now, "attempts": 1, "error": None}
    same = WEBHOOK.c.webhook_id == webhook_id
    with db.engine.begin() as connection:
        row = connection.execute(select(WEBHOOK).where(same).with_for_update()).mappings().first()
        if row is None:
            raise WebhookNotFound(f"there is no webhook {webhook_id}")
        replays = row["status"] != WebhookStatus.IGNORED and (if_so is None or if_so(dict(row)))
        if replays:
            connection.execute(update(WEBHOOK).where(same).values(**values))
            audit_log.write(
                actor=caller.name,
                act=Act.WEBHOOK_REPLAYED,
                object=f"webhook:{webhook_id}",
                session_id=caller.session_id,
                address=caller.address,
                connection=connection,
            )
    if replays or if_so is None:
        process(webhook_id, request_id=caller.request_id)
    return replays
