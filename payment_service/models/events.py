"""events: what happened, chained and unchangeable; deliveries: who is still to hear of it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.extensions import db
from payment_service.models import columns


class Event(db.Model):  # type: ignore[name-defined]
    """`seq` is the payment's version after the event; `body` is the CloudEvent that is told,
    `snapshot` what services/moves/snapshots keeps of the rows; `chain` covers the bytes of both.
    The database refuses UPDATE, DELETE and TRUNCATE of this table."""

    __tablename__ = "events"

    payment_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("payments.payment_id"), primary_key=True, autoincrement=False
    )
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    type: Mapped[str] = mapped_column(Text)
    from_status: Mapped[str | None] = columns.optional_text()
    to_status: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str | None] = columns.optional_text()
    reason: Mapped[str | None] = columns.optional_text()
    occurred_at: Mapped[datetime] = columns.moment()
    body: Mapped[str] = mapped_column(Text)
    chain: Mapped[bytes] = mapped_column(LargeBinary)
    snapshot: Mapped[str | None] = columns.optional_text()


class Delivery(db.Model):  # type: ignore[name-defined]
    """One event owed to one sink. A parked one waits for an operator and blocks only what follows
    it for the same payment at the same sink.

    `due_at` is when it is next tried; a relay at work on it has pushed it into the future. Both
    `done_at` and `parked_at` set: an operator skipped it.
    """

    __tablename__ = "deliveries"

    # In this order the key also finds a payment's deliveries for its time line.
    payment_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    sink: Mapped[str] = mapped_column(Text, primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    due_at: Mapped[datetime] = columns.moment()
    done_at: Mapped[datetime | None] = columns.optional_moment()
    parked_at: Mapped[datetime | None] = columns.optional_moment()
    last_error: Mapped[str | None] = columns.optional_text()
    created_at: Mapped[datetime] = columns.moment()
    # W3C's, of the span in which the event came to be; its delivery goes on with that trace.
    traceparent: Mapped[str | None] = columns.optional_text()

    __table_args__ = (
        ForeignKeyConstraint(["payment_id", "seq"], ["events.payment_id", "events.seq"]),
        Index(
            "ix_deliveries_due",
            "sink",
            "due_at",
            postgresql_where=text("done_at IS NULL AND parked_at IS NULL"),
        ),
        Index(
            "ix_deliveries_parked",
            "parked_at",
            postgresql_where=text("parked_at IS NOT NULL AND done_at IS NULL"),
        ),
        Index("ix_deliveries_done", "done_at", postgresql_where=text("done_at IS NOT NULL")),
    )


class SinkTotal(db.Model):  # type: ignore[name-defined]
    """How many deliveries a sink took and how many were parked, ever: delivered rows are reaped."""

    __tablename__ = "sink_totals"

    sink: Mapped[str] = mapped_column(Text, primary_key=True)
    delivered: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    parked: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
