"""refund_requests: refunds that one operator asks for, and another one decides on."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.domain.four_eyes import RequestState
from payment_service.extensions import db
from payment_service.models import columns


class RefundRequest(db.Model):  # type: ignore[name-defined]
    """While it is OPEN its `amount` is in the payment's refund_pending. `asked_by` and `decided_by`
    are names as in the audit log: `operator:7`, and `worker` where it lapsed. `decision` is what
    was said to it; `refund_id` what was made of it when it was approved."""

    __tablename__ = "refund_requests"

    request_id: Mapped[int] = columns.identity_key()
    payment_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("payments.payment_id"))
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime] = columns.moment()
    expires_at: Mapped[datetime] = columns.moment()
    state: Mapped[str] = mapped_column(Text, server_default=RequestState.OPEN)
    decided_by: Mapped[str | None] = columns.optional_text()
    decided_at: Mapped[datetime | None] = columns.optional_moment()
    decision: Mapped[str | None] = columns.optional_text()
    refund_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("refunds.refund_id"))

    __table_args__ = (
        CheckConstraint(columns.one_of("state", RequestState), name="state"),
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint(
            "(state = 'OPEN') = (decided_by IS NULL) AND (state = 'OPEN') = (decided_at IS NULL)",
            name="decided",
        ),
        CheckConstraint(
            "state NOT IN ('APPROVED', 'DECLINED') OR decided_by <> asked_by", name="four_eyes"
        ),
        CheckConstraint("state <> 'WITHDRAWN' OR decided_by = asked_by", name="own_withdrawn"),
        CheckConstraint("(state = 'APPROVED') = (refund_id IS NOT NULL)", name="refund"),
        Index(
            "uq_refund_requests_open",
            "payment_id",
            unique=True,
            postgresql_where=text("state = 'OPEN'"),
        ),
        Index("uq_refund_requests_refund_id", "refund_id", unique=True),
        Index("ix_refund_requests_payment_id", "payment_id", "request_id"),
        Index("ix_refund_requests_asked_by", "asked_by", "request_id"),
        Index(
            "ix_refund_requests_expires_at", "expires_at", postgresql_where=text("state = 'OPEN'")
        ),
    )
