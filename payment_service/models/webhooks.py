"""webhooks: what providers said unasked; webhook_refusals: the last of those that were not
believed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.domain.vocabulary import Trust, WebhookStatus
from payment_service.extensions import db
from payment_service.models import columns
from payment_service.models.columns import Encrypted, Sealed, Secret


class Webhook(db.Model):  # type: ignore[name-defined]
    """One thing that a provider said of one request, however often it came.

    `body` is what came and what was read of it (services/notices), encrypted. `due_at` is when it
    is tried next; null once it is done with, or parked. `payment_id` and `number` are the request
    that it was found to be about, without a foreign key: a webhook must never be lost for one.
    """

    __tablename__ = "webhooks"

    webhook_id: Mapped[int] = columns.identity_key()
    provider: Mapped[str] = mapped_column(Text)
    event_key: Mapped[str] = mapped_column(Text)
    event_type: Mapped[str] = mapped_column(Text)
    trust: Mapped[str] = mapped_column(Text)
    body: Mapped[Sealed | Secret] = mapped_column(Encrypted("webhooks.body", key="webhook_id"))
    headers: Mapped[dict[str, Any]] = mapped_column(JSON)
    received_at: Mapped[datetime] = columns.moment()
    last_received_at: Mapped[datetime] = columns.moment()
    deliveries: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    status: Mapped[str] = mapped_column(Text)
    payment_id: Mapped[int | None] = columns.optional_id()
    number: Mapped[int | None] = mapped_column(SmallInteger)
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    due_at: Mapped[datetime | None] = columns.optional_moment()
    error: Mapped[str | None] = columns.optional_text()
    processed_at: Mapped[datetime | None] = columns.optional_moment()

    __table_args__ = (
        UniqueConstraint("provider", "event_key"),
        CheckConstraint(columns.one_of("trust", Trust), name="trust"),
        CheckConstraint(columns.one_of("status", WebhookStatus), name="status"),
        Index("ix_webhooks_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index(
            "ix_webhooks_payment_id",
            "payment_id",
            "number",
            postgresql_where=text("payment_id IS NOT NULL"),
        ),
        Index("ix_webhooks_received_at", "received_at", "webhook_id"),
        Index("ix_webhooks_status", "status", "received_at", "webhook_id"),
        columns.key_index("webhooks", "body"),
    )


class WebhookRefusal(db.Model):  # type: ignore[name-defined]
    """A webhook that was refused, in one of WEBHOOK_REFUSALS_KEEP numbered slots, which are written
    over: whoever sends a million of them fills nothing. `number` counts all that there ever were,
    and `hash` is the body's SHA-256."""

    __tablename__ = "webhook_refusals"

    slot: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=False))
    at: Mapped[datetime] = columns.moment()
    provider: Mapped[str] = mapped_column(Text)
    address: Mapped[str | None] = columns.optional_text()
    size: Mapped[int] = mapped_column(Integer)
    hash: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)

    # Room in each page, so that a slot is written over where it lies.
    __table_args__ = ({"postgresql_with": {"fillfactor": 50}},)
