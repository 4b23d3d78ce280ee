"""idempotency_keys: who asked what under which key, and the answer that stays."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.extensions import db
from payment_service.models import columns


class IdempotencyKey(db.Model):  # type: ignore[name-defined]
    """`operation` is method and path. `fingerprint` is a JSON object of a hash per body field.

    `answer_body` is null until the outcome is definite. `locked_until` is null once the first
    request has told its caller something, definite or not.
    """

    __tablename__ = "idempotency_keys"

    caller: Mapped[str] = mapped_column(Text, primary_key=True)
    operation: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(Text)
    payment_id: Mapped[int | None] = mapped_column(BigInteger)
    transaction_number: Mapped[int | None] = mapped_column(SmallInteger)
    locked_until: Mapped[datetime | None] = columns.optional_moment()
    answer_status: Mapped[int | None] = mapped_column(SmallInteger)
    answer_body: Mapped[str | None] = columns.optional_text()
    created_at: Mapped[datetime] = columns.moment()
    expires_at: Mapped[datetime] = columns.moment()

    __table_args__ = (
        Index("ix_idempotency_keys_expires_at", "expires_at"),
        # For people, who know the key and not whose it is.
        Index("ix_idempotency_keys_key", "key"),
        {"postgresql_with": {"fillfactor": 60}},
    )
