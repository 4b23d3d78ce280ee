"""audit_log: every act that is no payment's, chained and unchangeable."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.domain.acts import Act
from payment_service.extensions import db
from payment_service.models import columns


class AuditEntry(db.Model):  # type: ignore[name-defined]
    """`audit_id` counts from 1 without a gap, so it comes from services/audit_log and from no
    sequence, which would leave one at each rollback. `at` never runs back. `body` is JSON text;
    `chain` covers all other columns. The database refuses UPDATE, DELETE and TRUNCATE."""

    __tablename__ = "audit_log"

    audit_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = columns.moment()
    actor: Mapped[str] = mapped_column(Text)
    # Without a foreign key: sessions are deleted in the end, this is not.
    session_id: Mapped[int | None] = columns.optional_id()
    request_id: Mapped[str | None] = columns.optional_text()
    address: Mapped[str | None] = columns.optional_text()
    act: Mapped[str] = mapped_column(Text)
    object: Mapped[str | None] = columns.optional_text()
    reason: Mapped[str | None] = columns.optional_text()
    body: Mapped[str | None] = columns.optional_text()
    chain: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (
        CheckConstraint(columns.one_of("act", Act), name="act"),
        Index("ix_audit_log_at", "at", "audit_id"),
    )
