"""transactions: one request to a provider about a payment; append-only but for its outcome."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.domain.vocabulary import TransactionStatus, TransactionType
from payment_service.extensions import db
from payment_service.models import columns
from payment_service.models.columns import Encrypted, Sealed, Secret


class Transaction(db.Model):  # type: ignore[name-defined]
    """`number` counts the payment's requests from 1; the reference ends in it.

    `send_before` fences the sender: nobody sends after it. `due_at` is when resolution asks next,
    and null where nothing is open; until `leased_until` a worker asks. The key (payment_id, number)
    also makes `reference` unique.

    `answered_ms`, `http_status` and `answer` are what came back over HTTP when it was asked;
    look-ups have rows of their own. Without a CHECK: nothing that a provider says may keep an
    outcome out.
    """

    __tablename__ = "transactions"

    payment_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("payments.payment_id"), primary_key=True, autoincrement=False
    )
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    transaction_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    type: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    amount: Mapped[int] = mapped_column(BigInteger)
    amount_approved: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    provider: Mapped[str] = mapped_column(Text)
    provider_account: Mapped[str | None] = columns.optional_text()
    provider_reference: Mapped[str | None] = columns.optional_text()
    reference: Mapped[str] = mapped_column(Text)
    fee: Mapped[int | None] = mapped_column(BigInteger)
    failure_code: Mapped[str | None] = columns.optional_text()
    failure_message: Mapped[str | None] = columns.optional_text()
    description: Mapped[str | None] = columns.optional_text()
    # Why the provider is asked, where the type alone doesn't say: a void because of expiry.
    cause: Mapped[str | None] = columns.optional_text()
    request_id: Mapped[str | None] = columns.optional_text()
    # W3C's, of the span in which it began; a look-up goes on with that trace.
    traceparent: Mapped[str | None] = columns.optional_text()
    created_at: Mapped[datetime] = columns.moment()
    occurred_at: Mapped[datetime | None] = columns.optional_moment()
    send_before: Mapped[datetime] = columns.moment()
    due_at: Mapped[datetime | None] = columns.optional_moment()
    lookups: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    not_found_at: Mapped[datetime | None] = columns.optional_moment()
    leased_until: Mapped[datetime | None] = columns.optional_moment()
    answered_ms: Mapped[int | None] = mapped_column(Integer)
    http_status: Mapped[int | None] = mapped_column(SmallInteger)
    answer: Mapped[Sealed | Secret | None] = mapped_column(
        Encrypted("transactions.answer", key="reference")
    )

    __table_args__ = (
        CheckConstraint(columns.one_of("type", TransactionType), name="type"),
        CheckConstraint(columns.one_of("status", TransactionStatus), name="status"),
        CheckConstraint("amount > 0 AND number > 0", name="amount"),
        # A capture, a void and an expiry can't be in flight together.
        Index(
            "uq_transactions_open_move",
            "payment_id",
            unique=True,
            postgresql_where=text("status = 'PROCESSING' AND type <> 'REFUND'"),
        ),
        Index("ix_transactions_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index(
            "ix_transactions_provider_reference",
            "provider_reference",
            postgresql_where=text("provider_reference IS NOT NULL"),
        ),
        columns.key_index("transactions", "answer", sparse=True),
        Index(
            "ix_transactions_answer_created_at",
            "created_at",
            postgresql_where=text("answer IS NOT NULL"),
        ),
        {"postgresql_with": {"fillfactor": 70}},
    )
