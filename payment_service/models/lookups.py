"""lookups: each time that a provider was asked what became of a request."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.domain.vocabulary import Found
from payment_service.extensions import db
from payment_service.models import columns
from payment_service.models.columns import Encrypted, Sealed, Secret


class Lookup(db.Model):  # type: ignore[name-defined]
    """`n` counts a request's look-ups from 1, and `reference` is the request's with it. `answer` is
    what came back, masked, but for a plain yes.

    It points to the request and not to the payment: a row that points to a payment waits while the
    payment is moved.
    """

    __tablename__ = "lookups"

    payment_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    reference: Mapped[str] = mapped_column(Text, unique=True)
    asked_at: Mapped[datetime] = columns.moment()
    ms: Mapped[int] = mapped_column(Integer)
    found: Mapped[str] = mapped_column(Text)
    answer: Mapped[Sealed | Secret | None] = mapped_column(
        Encrypted("lookups.answer", key="reference")
    )

    __table_args__ = (
        ForeignKeyConstraint(
            ["payment_id", "number"], ["transactions.payment_id", "transactions.number"]
        ),
        CheckConstraint("n > 0 AND ms >= 0", name="n"),
        CheckConstraint(columns.one_of("found", Found), name="found"),
        Index("ix_lookups_asked_at", "asked_at"),
        columns.key_index("lookups", "answer", sparse=True),
    )
