"""disputes and dispute_movements: what payers contest at their banks, and what that moved."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.domain.disputes import DisputeKind, DisputeStatus, MovementKind
from payment_service.extensions import db
from payment_service.models import columns


class Dispute(db.Model):  # type: ignore[name-defined]
    """`amount` is minor units of `currency`, the payment's. `due_at` says when the provider is
    asked next; also of an ended one, because what was won may be lost later."""

    __tablename__ = "disputes"

    dispute_id: Mapped[int] = columns.identity_key()
    payment_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("payments.payment_id"))
    provider: Mapped[str] = mapped_column(Text)
    provider_dispute_id: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    evidence_due_at: Mapped[datetime | None] = columns.optional_moment()
    submissions: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    opened_at: Mapped[datetime] = columns.moment()
    closed_at: Mapped[datetime | None] = columns.optional_moment()
    created_at: Mapped[datetime] = columns.moment()
    updated_at: Mapped[datetime] = columns.moment()
    due_at: Mapped[datetime | None] = columns.optional_moment()

    __table_args__ = (
        CheckConstraint(columns.one_of("kind", DisputeKind), name="kind"),
        CheckConstraint(columns.one_of("status", DisputeStatus), name="status"),
        CheckConstraint("amount > 0", name="amount"),
        Index("uq_disputes_provider", "provider", "provider_dispute_id", unique=True),
        Index("ix_disputes_payment_id", "payment_id"),
        Index("ix_disputes_created_at", "created_at", "dispute_id"),
        Index("ix_disputes_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_disputes_status", "status", "evidence_due_at", "dispute_id"),
    )


class DisputeMovement(db.Model):  # type: ignore[name-defined]
    """One booking at the provider, by its id there, so that each counts once. `amount` is minor
    units of `currency`; `counted` is what it was in the payment's currency."""

    __tablename__ = "dispute_movements"

    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    provider_movement_id: Mapped[str] = mapped_column(Text, primary_key=True)
    dispute_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("disputes.dispute_id"))
    payment_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("payments.payment_id"))
    kind: Mapped[str] = mapped_column(Text)
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    counted: Mapped[int] = mapped_column(BigInteger)
    occurred_at: Mapped[datetime] = columns.moment()
    created_at: Mapped[datetime] = columns.moment()

    __table_args__ = (
        CheckConstraint(columns.one_of("kind", MovementKind), name="kind"),
        CheckConstraint("amount >= 0 AND counted >= 0", name="amount"),
        Index("ix_dispute_movements_dispute_id", "dispute_id"),
        Index("ix_dispute_movements_payment_id", "payment_id"),
    )
