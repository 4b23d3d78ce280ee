"""payment_notes: what operators wrote about a payment, for each other."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.domain.notes import LONGEST
from payment_service.extensions import db
from payment_service.models import columns


class PaymentNote(db.Model):  # type: ignore[name-defined]
    """`form_key` stands for the form it was sent by and what was written in it: a form that comes
    twice writes once. The database refuses UPDATE, DELETE and TRUNCATE."""

    __tablename__ = "payment_notes"

    note_id: Mapped[int] = columns.identity_key()
    payment_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("payments.payment_id"))
    operator_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operators.operator_id"))
    form_key: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = columns.moment()

    __table_args__ = (
        UniqueConstraint("operator_id", "form_key"),
        CheckConstraint(f"char_length(text) BETWEEN 1 AND {LONGEST}", name="text"),
        Index("ix_payment_notes_payment_id", "payment_id", "note_id"),
    )
