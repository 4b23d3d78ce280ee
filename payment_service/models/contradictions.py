"""contradictions: where evidence overturned what callers had been told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.extensions import db
from payment_service.models import columns


class Contradiction(db.Model):  # type: ignore[name-defined]
    """`seq` is the payment's version by then, and the last event of the move. The events say the
    same, but no index finds them by it."""

    __tablename__ = "contradictions"

    payment_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = columns.moment()

    __table_args__ = (Index("ix_contradictions_at", "at"),)
