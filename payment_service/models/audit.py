"""import_seals: imported rows as they came in, for audit; audit_digests: one line a day."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.extensions import db
from payment_service.models import columns


class ImportSeal(db.Model):  # type: ignore[name-defined]
    """What an imported payment has instead of a first event. `content` is what seeding/sealing
    writes. No foreign key: the seal of a payment that was deleted is what shows it."""

    __tablename__ = "import_seals"

    payment_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    sealed_at: Mapped[datetime] = columns.moment()
    content: Mapped[str] = mapped_column(Text)


class AuditDigest(db.Model):  # type: ignore[name-defined]
    """The digest of all chains as of `until`. A worker that is at work on it holds it until
    `leased_until`; `written_at` says that its line is in the log and in the file."""

    __tablename__ = "audit_digests"

    until: Mapped[datetime] = mapped_column(columns.UTCTime, primary_key=True)
    leased_until: Mapped[datetime] = columns.moment()
    written_at: Mapped[datetime | None] = columns.optional_moment()
    payments: Mapped[int | None] = mapped_column(BigInteger)
    acts: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = columns.optional_text()
