"""provider_offers: which providers take which method where. Data, edited, never code."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Index, Integer, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.extensions import db
from payment_service.models import columns


class ProviderOffer(db.Model):  # type: ignore[name-defined]
    """One provider for one country, currency and method; `position` is the order to offer."""

    __tablename__ = "provider_offers"

    offer_id: Mapped[int] = columns.identity_key()
    provider_name: Mapped[str] = mapped_column(Text)
    country_code: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    payment_method: Mapped[str] = mapped_column(Text)
    is_active: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    position: Mapped[int] = mapped_column(Integer, server_default=text("0"))

    __table_args__ = (
        CheckConstraint("country_code ~ '^[A-Z]{2}$' AND currency ~ '^[A-Z]{3}$'", name="codes"),
        Index(
            "uq_provider_offers_offer",
            "country_code",
            "currency",
            "payment_method",
            "provider_name",
            unique=True,
        ),
    )


class CatalogVersion(db.Model):  # type: ignore[name-defined]
    """One row, raised by a trigger at every edit of provider_offers, whoever makes it; caches
    carry it in their key and so can't be stale."""

    __tablename__ = "catalog_version"

    only_row: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=text("true"))
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))

    __table_args__ = (CheckConstraint("only_row", name="only_row"),)
