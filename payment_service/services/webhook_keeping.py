"""Writes a webhook down once, however often it comes: what is signed always, what is not as far as
it is about a request of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from payment_service.domain.vocabulary import WebhookStatus
from payment_service.models import Webhook
from payment_service.models.columns import Secret
from payment_service.providers import storable
from payment_service.providers.provider import Provider
from payment_service.providers.webhooks import Incoming, Notice, Receiver, Trust
from payment_service.services import notices
from payment_service.telemetry import metrics

WEBHOOK = Webhook.__table__

KEPT_HEADERS = ("content-type", "user-agent", "date")
"""None of these is a secret, and none is asked again."""
LONGEST_KEY = 250
LONGEST_TYPE = 100
"""Characters; providers' own are far shorter."""

FIRST_TRY_SECONDS = 10.0
"""How long the request that brought a webhook has for it before the worker looks; a try takes some
milliseconds, and two at once do no harm."""

UNSIGNED_OF_A_REQUEST = 20
"""Rows that unsigned webhooks of one request may fill: what is unsigned, anybody can make up."""
LOOK_AGAIN_SECONDS = 30.0
"""After which the same unsigned webhook makes us look again. The first may have been made up."""


def keep(
    connection: Connection, provider: Provider, trust: Trust, notice: Notice, incoming: Incoming
) -> int | None:
    """The row of the notice; None if nothing is to be done about it now."""
    now, kind = incoming.received_at, label(provider, notice.event_type)
    first_try = datetime.now(UTC) + timedelta(seconds=FIRST_TRY_SECONDS)
    metrics.WEBHOOKS_RECEIVED.labels(provider.name, kind).inc()
    which = {"provider": provider.name, "event_key": _key(notice.event_key)}
    again = _again(connection, which, now)
    if again is not None:
        metrics.WEBHOOKS.labels(provider.name, kind, "REPEATED").inc()
        if not _is_worth_a_look(trust, again, now):
            return None
        once_more = update(WEBHOOK).where(WEBHOOK.c.webhook_id == again.webhook_id)
        connection.execute(once_more.values(status=WebhookStatus.RECEIVED, due_at=first_try))
        return int(again.webhook_id)
    request = None
    if trust is Trust.UNSIGNED:
        request = notices.find(connection, provider=provider.name, notice=notice, trust=trust)
        if request is None or not notice.taken or _is_full(connection, request):
            # Nothing is written for what anybody can send any number of.
            metrics.WEBHOOKS.labels(provider.name, kind, "NOT_KEPT").inc()
            return None
    status = WebhookStatus.RECEIVED if notice.taken else WebhookStatus.IGNORED
    number: int = connection.execute(_NEXT_ID).scalar_one()
    row: dict[str, Any] = {
        **which,
        "webhook_id": number,
        "event_type": storable.text(notice.event_type[:LONGEST_TYPE]),
        "trust": trust,
        "body": Secret(number, notices.dumped(incoming.body, notice)),
        "headers": {
            name: storable.text(incoming.headers[name])
            for name in KEPT_HEADERS
            if name in incoming.headers
        },
        "received_at": now,
        "last_received_at": now,
        "status": status,
        "attempts": 1,
        "due_at": first_try,
    }
    if not notice.taken:
        row |= {"due_at": None, "processed_at": now}
        metrics.WEBHOOKS.labels(provider.name, kind, status).inc()
    # Another delivery of it may have come first by now.
    made = connection.execute(
        insert(WEBHOOK)
        .values(row)
        .on_conflict_do_update(
            index_elements=["provider", "event_key"],
            set_={"deliveries": WEBHOOK.c.deliveries + 1, "last_received_at": now},
        )
        .returning(WEBHOOK.c.webhook_id)
    ).scalar_one()
    return number if made == number and notice.taken else None


_NEXT_ID = text("SELECT nextval(pg_get_serial_sequence('webhooks', 'webhook_id'))")


def _again(connection: Connection, which: Mapping[str, str], now: datetime) -> Any:
    """Counts one more delivery of what is there already; None if it is new."""
    return connection.execute(
        update(WEBHOOK)
        .where(*(WEBHOOK.c[name] == value for name, value in which.items()))
        .values(deliveries=WEBHOOK.c.deliveries + 1, last_received_at=now)
        .returning(WEBHOOK.c.webhook_id, WEBHOOK.c.processed_at, WEBHOOK.c.status)
    ).one_or_none()


def _is_worth_a_look(trust: Trust, row: Any, now: datetime) -> bool:
    """Of a repeat. What is signed said all that it had to say the first time."""
    if trust is Trust.SIGNED or row.processed_at is None:
        return False
    return bool((now - row.processed_at).total_seconds() > LOOK_AGAIN_SECONDS)


def _is_full(connection: Connection, request: notices.Request) -> bool:
    of_request = (WEBHOOK.c.payment_id == request.payment_id, WEBHOOK.c.number == request.number)
    query = select(func.count()).where(*of_request, WEBHOOK.c.trust == Trust.UNSIGNED)
    return bool(connection.execute(query).scalar_one() >= UNSIGNED_OF_A_REQUEST)


def label(provider: Provider | None, event_type: str) -> str:
    """The type as metrics count it: of a closed list, or other."""
    known = isinstance(provider, Receiver) and event_type in provider.event_types
    return event_type if known else "other"


def _key(event_key: str) -> str:
    key = storable.text(event_key) or ""
    if len(event_key) <= LONGEST_KEY:
        return key
    return hashlib.sha256(event_key.encode(errors="replace")).hexdigest()
