"""payments: one intent to collect an amount, with the guards that keep it true."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Computed,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.domain.vocabulary import DEAD, Method, PaymentStatus, Purpose
from payment_service.extensions import db
from payment_service.models import columns
from payment_service.models.columns import Encrypted, Sealed, Secret

_DEAD_SQL = ", ".join(f"'{status}'" for status in sorted(DEAD))


def _listed_by(column: str) -> Index:
    """An index that gives the rows with one value of this column, newest first, in one scan."""
    return Index(
        f"ix_payments_{column}",
        column,
        "created_at",
        "payment_id",
        postgresql_where=text(f"{column} IS NOT NULL"),
    )


class Payment(db.Model):  # type: ignore[name-defined]
    """Amounts are minor units of `currency`. `status` is written by services/moves/transitions
    only.

    `live` and `rare_status` are generated: a charge that goes PROCESSING -> SUCCESS changes no
    indexed column, so PostgreSQL updates the row in place (HOT) and touches none of the indexes.
    The fill factor leaves it the room to do so.
    """

    __tablename__ = "payments"

    payment_id: Mapped[int] = columns.identity_key()
    trip_id: Mapped[int | None] = columns.optional_id()
    order_id: Mapped[int | None] = columns.optional_id()
    rider_id: Mapped[int | None] = columns.optional_id()
    driver_id: Mapped[int | None] = columns.optional_id()
    user_id: Mapped[int | None] = columns.optional_id()
    parent_payment_id: Mapped[int | None] = columns.optional_id()
    purpose: Mapped[str] = mapped_column(Text, server_default=Purpose.FARE)
    share: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))

    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    authorized: Mapped[int] = columns.money()
    captured: Mapped[int] = columns.money()
    refunded: Mapped[int] = columns.money()
    refund_pending: Mapped[int] = columns.money()
    # Null where nothing of it ever was in dispute: events of before say nothing of these.
    disputed: Mapped[int | None] = mapped_column(BigInteger)
    charged_back: Mapped[int | None] = mapped_column(BigInteger)

    method: Mapped[str] = mapped_column(Text)
    provider: Mapped[str | None] = columns.optional_text()
    status: Mapped[str] = mapped_column(Text)
    live: Mapped[bool] = mapped_column(
        Boolean, Computed(f"status NOT IN ({_DEAD_SQL})", persisted=True)
    )
    rare_status: Mapped[str | None] = mapped_column(
        Text,
        Computed(
            "CASE WHEN status IN ('PROCESSING', 'SUCCESS') THEN NULL ELSE status END",
            persisted=True,
        ),
    )

    reference: Mapped[str] = mapped_column(Text)
    caller: Mapped[str] = mapped_column(Text)
    caller_reference: Mapped[str | None] = columns.optional_text()
    # As it was sent, in payments of before there was `token`: `flask keys rotate` moves it there.
    payment_token: Mapped[str | None] = columns.optional_text()
    token: Mapped[Sealed | Secret | None] = mapped_column(Encrypted("payments.token", "reference"))
    provider_reference: Mapped[str | None] = columns.optional_text()
    authorization_code: Mapped[str | None] = columns.optional_text()
    failure_code: Mapped[str | None] = columns.optional_text()
    failure_message: Mapped[str | None] = columns.optional_text()
    next_action: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    description: Mapped[str | None] = columns.optional_text()
    # json, not jsonb: what a caller sent comes back in its order.
    metadata_: Mapped[dict[str, str]] = mapped_column(
        "metadata", JSON, server_default=text("'{}'::json")
    )
    fare: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    # For good, whoever charges it later.
    imported: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))

    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    audit_head: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = columns.moment()
    updated_at: Mapped[datetime] = columns.moment()
    completed_at: Mapped[datetime | None] = columns.optional_moment()
    captured_at: Mapped[datetime | None] = columns.optional_moment()
    expires_at: Mapped[datetime | None] = columns.optional_moment()

    __table_args__ = (
        CheckConstraint(columns.one_of("status", PaymentStatus), name="status"),
        CheckConstraint(columns.one_of("method", Method), name="method"),
        CheckConstraint(columns.one_of("purpose", Purpose), name="purpose"),
        CheckConstraint("amount > 0 AND share >= 0", name="amount"),
        CheckConstraint(
            "refunded >= 0 AND refund_pending >= 0 AND refunded + refund_pending <= captured"
            " AND captured <= authorized",
            name="ceilings",
        ),
        CheckConstraint(
            "CASE status"
            " WHEN 'SUCCESS' THEN captured > 0 AND refunded = 0"
            " WHEN 'PARTIALLY_REFUNDED' THEN refunded > 0 AND refunded < captured"
            " WHEN 'REFUNDED' THEN captured > 0 AND refunded = captured"
            " WHEN 'AUTHORIZED' THEN authorized > 0 AND captured = 0"
            " ELSE captured = 0 END",
            name="status_amounts",
        ),
        # What lies beside the place of a trip or order was paid before our time, or is given back:
        # nobody is asked for its money.
        CheckConstraint(
            "share = 0 OR status NOT IN ('PROCESSING', 'REQUIRES_ACTION') OR authorized > 0",
            name="charged_in_its_place",
        ),
        Index("uq_payments_reference", "reference", unique=True),
        columns.key_index("payments", "token", sparse=True),
        # One live payment for each part of a trip's or an order's money.
        Index(
            "uq_payments_live_trip",
            "trip_id",
            "purpose",
            "share",
            unique=True,
            postgresql_where=text("live AND trip_id IS NOT NULL"),
        ),
        Index(
            "uq_payments_live_order",
            "order_id",
            "purpose",
            "share",
            unique=True,
            postgresql_where=text("live AND order_id IS NOT NULL"),
        ),
        # Their dead siblings, so that a trip is looked up by two small indexes and a charge
        # pays for one.
        Index("ix_payments_dead_trip", "trip_id", postgresql_where=text("NOT live")),
        Index("ix_payments_dead_order", "order_id", postgresql_where=text("NOT live")),
        Index("ix_payments_created_at", "created_at", "payment_id"),
        _listed_by("rider_id"),
        _listed_by("driver_id"),
        _listed_by("user_id"),
        _listed_by("rare_status"),
        _listed_by("caller_reference"),
        # Of the generated column: one on `status` would cost each charge its update in place.
        Index(
            "ix_payments_cash_to_collect",
            "created_at",
            postgresql_where=text(
                f"rare_status = '{PaymentStatus.PENDING}' AND method = '{Method.CASH}'"
            ),
        ),
        Index(
            "ix_payments_expires_at", "expires_at", postgresql_where=text("expires_at IS NOT NULL")
        ),
        {"postgresql_with": {"fillfactor": 60}},
    )
