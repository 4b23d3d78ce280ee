"""Webhooks as operators read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from sqlalchemy import func, select

from payment_service.domain.errors import WebhookNotFound
from payment_service.domain.vocabulary import WebhookStatus
from payment_service.extensions import db
from payment_service.models.columns import Sealed
from payment_service.models.keyring import NoKey, NotGenuine
from payment_service.providers import masked_bodies
from payment_service.services import notices
from payment_service.services.reading import WEBHOOK


def get(*, webhook_id: int) -> Mapping[str, Any]:
    """One with its headers and its `body`, masked. Raises WebhookNotFound."""
    with db.engine.connect() as connection:
        row = (
            connection.execute(select(WEBHOOK).where(WEBHOOK.c.webhook_id == webhook_id))
            .mappings()
            .one_or_none()
        )
    if row is None:
        raise WebhookNotFound(f"there is no webhook {webhook_id}")
    sealed: Sealed = row["body"]
    try:
        body = masked_bodies.masked(notices.body_of(sealed.opened(webhook_id)))
    except (NoKey, NotGenuine) as error:
        body = f"can't be opened: {error}"
    return {**row, "body": body}


def describe(row: Mapping[str, Any]) -> str:
    """One as a line."""
    about = f" payment {row['payment_id']} request {row['number']}" if row["payment_id"] else ""
    parked = row["status"] == WebhookStatus.FAILED and row["due_at"] is None
    told = f"{row['status']}{' (parked)' if parked else ''}"
    error = f": {row['error']}" if row["error"] else ""
    return (
        f"{row['webhook_id']} {row['received_at'].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        f" {row['provider']} {row['event_type']}{about} x{row['deliveries']} {told}{error}"
    )


@dataclass(frozen=True)
class Waiting:
    """How many webhooks will be tried again, and how many wait for an operator."""

    due: int
    parked: int


def waiting() -> Waiting:
    """By two indexes, each of which holds no more than what waits."""
    due = select(func.count()).where(WEBHOOK.c.due_at.is_not(None)).scalar_subquery()
    is_parked = (WEBHOOK.c.status == WebhookStatus.FAILED, WEBHOOK.c.due_at.is_(None))
    parked = select(func.count()).where(*is_parked).scalar_subquery()
    with db.engine.connect() as connection:
        found = connection.execute(select(due.label("due"), parked.label("parked"))).one()
    return Waiting(found.due, found.parked)
