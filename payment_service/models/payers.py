"""payers: who pays a payment and where they are led, for those few that have a payer's page."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.extensions import db
from payment_service.models import columns
from payment_service.models.columns import Encrypted, Sealed, Secret


class Payer(db.Model):  # type: ignore[name-defined]
    """A table of its own, so that a charge without any of it costs what it did before.

    `said` is what the caller said (domain/payers.Said), `page` what the provider gave for the payer
    (its next_action), both as JSON. `reference` is the payment's, because the payment's id is not
    known before a charge is written. `hastened_at` is when a payer who came back last made us look
    up what became of it.
    """

    __tablename__ = "payers"

    payment_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("payments.payment_id"), primary_key=True, autoincrement=False
    )
    reference: Mapped[str] = mapped_column(Text, unique=True)
    said: Mapped[Sealed | Secret | None] = mapped_column(Encrypted("payers.said", key="reference"))
    page: Mapped[Sealed | Secret | None] = mapped_column(Encrypted("payers.page", key="reference"))
    hastened_at: Mapped[datetime | None] = columns.optional_moment()

    __table_args__ = (
        columns.key_index("payers", "said"),
        columns.key_index("payers", "page"),
    )
