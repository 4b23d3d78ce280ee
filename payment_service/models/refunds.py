"""refunds: captured funds given back; its own row, never a negative payment."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.domain.vocabulary import RefundStatus
from payment_service.extensions import db
from payment_service.models import columns


class Refund(db.Model):  # type: ignore[name-defined]
    """`transaction_number` names the request to the provider; null where a person hands it back."""

    __tablename__ = "refunds"

    refund_id: Mapped[int] = columns.identity_key()
    payment_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("payments.payment_id"))
    transaction_number: Mapped[int | None] = mapped_column(SmallInteger)
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = columns.optional_text()
    caller: Mapped[str] = mapped_column(Text)
    provider_reference: Mapped[str | None] = columns.optional_text()
    failure_code: Mapped[str | None] = columns.optional_text()
    failure_message: Mapped[str | None] = columns.optional_text()
    created_at: Mapped[datetime] = columns.moment()
    updated_at: Mapped[datetime] = columns.moment()
    completed_at: Mapped[datetime | None] = columns.optional_moment()

    __table_args__ = (
        CheckConstraint(columns.one_of("status", RefundStatus), name="status"),
        CheckConstraint("amount > 0", name="amount"),
        Index("ix_refunds_payment_id", "payment_id"),
        Index("ix_refunds_created_at", "created_at", "refund_id"),
        Index(
            "ix_refunds_provider_reference",
            "provider_reference",
            postgresql_where=text("provider_reference IS NOT NULL"),
        ),
        Index(
            "ix_refunds_pending",
            "status",
            "created_at",
            "refund_id",
            postgresql_where=text("status = 'PENDING'"),
        ),
    )
