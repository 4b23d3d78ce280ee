"""jobs: what operators have the worker do; job_items: its parts, one key each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.domain.jobs import ItemState, JobKind, JobState
from payment_service.extensions import db
from payment_service.models import columns


class Job(db.Model):  # type: ignore[name-defined]
    """`what` is the filter or the reason that was given. `asked_key` is made with the form, so that
    one form makes one job. Session and address are the asker's, for the audit log."""

    __tablename__ = "jobs"

    job_id: Mapped[int] = columns.identity_key()
    kind: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    what: Mapped[dict[str, Any]] = mapped_column(JSON)
    asked_by: Mapped[str] = mapped_column(Text)
    asked_key: Mapped[str | None] = columns.optional_text()
    session_id: Mapped[int | None] = columns.optional_id()
    address: Mapped[str | None] = columns.optional_text()
    created_at: Mapped[datetime] = columns.moment()
    started_at: Mapped[datetime | None] = columns.optional_moment()
    stop_asked_at: Mapped[datetime | None] = columns.optional_moment()
    ended_at: Mapped[datetime | None] = columns.optional_moment()

    __table_args__ = (
        UniqueConstraint("asked_by", "asked_key"),
        CheckConstraint(columns.one_of("kind", JobKind), name="kind"),
        CheckConstraint(columns.one_of("state", JobState), name="state"),
        CheckConstraint("(state = 'ENDED') = (ended_at IS NOT NULL)", name="ended"),
        Index("ix_jobs_kind", "kind", "job_id"),
    )


class JobItem(db.Model):  # type: ignore[name-defined]
    """`due_at` is when it may be taken; a worker that is at work on it has pushed it into the
    future. `said` is what was done, `error` why it could not be."""

    __tablename__ = "job_items"

    job_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("jobs.job_id"), primary_key=True, autoincrement=False
    )
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    due_at: Mapped[datetime] = columns.moment()
    ended_at: Mapped[datetime | None] = columns.optional_moment()
    said: Mapped[str | None] = columns.optional_text()
    error: Mapped[str | None] = columns.optional_text()

    __table_args__ = (
        CheckConstraint(columns.one_of("state", ItemState), name="state"),
        CheckConstraint("(state = 'FAILED') = (error IS NOT NULL)", name="error"),
        Index("ix_job_items_due", "due_at", "number", postgresql_where=text("state = 'OPEN'")),
    )
