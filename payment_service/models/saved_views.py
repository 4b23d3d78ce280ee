"""saved_views: filters of the list of payments that an operator keeps under a name."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.domain.saved_views import LONGEST_NAME
from payment_service.extensions import db
from payment_service.models import columns


class SavedView(db.Model):  # type: ignore[name-defined]
    """`query` maps names of filters to values (domain/saved_views). A `shared` one is seen by all,
    and changed by its operator only."""

    __tablename__ = "saved_views"

    view_id: Mapped[int] = columns.identity_key()
    operator_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operators.operator_id"))
    name: Mapped[str] = mapped_column(Text)
    query: Mapped[dict[str, str]] = mapped_column(JSON)
    shared: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(columns.UTCTime, server_default=text("now()"))

    __table_args__ = (
        UniqueConstraint("operator_id", "name"),
        CheckConstraint(f"char_length(name) BETWEEN 1 AND {LONGEST_NAME}", name="name"),
        Index("ix_saved_views_shared", "name", "view_id", postgresql_where=text("shared")),
    )
