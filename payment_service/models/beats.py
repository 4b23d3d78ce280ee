"""worker_beats: that the worker lives, and what its beats do."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.extensions import db
from payment_service.models import columns


class WorkerBeat(db.Model):  # type: ignore[name-defined]
    """One beat, whichever worker ran it last: `host` is that one's. `counts` is what was done since
    it was written before, and `error` the kind of the last error since then, if there was one."""

    __tablename__ = "worker_beats"

    beat: Mapped[str] = mapped_column(Text, primary_key=True)
    host: Mapped[str] = mapped_column(Text)
    last_at: Mapped[datetime] = columns.moment()
    counts: Mapped[dict[str, int]] = mapped_column(JSON)
    error: Mapped[str | None] = columns.optional_text()

    # Room in the page, so that a beat is written over where it lies.
    __table_args__ = ({"postgresql_with": {"fillfactor": 50}},)
