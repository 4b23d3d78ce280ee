"""What alerts and panels ask the database, beside the totals: in a few statements that read a few
rows each, however many payments there are, and at most once in some seconds."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime

import structlog
from flask import current_app
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import SQLAlchemyError

from payment_service.extensions import db
from payment_service.services import beats, chain_alarm, disputes
from payment_service.services.beats import BEAT, BeatStanding
from payment_service.services.disputes import OpenDisputes

log = structlog.get_logger(__name__)

KNOWN_SECONDS = 5.0
"""Several Prometheus servers may scrape each process every few seconds."""
PATIENCE = "2s"
"""For one statement: a scrape has ten seconds for all of it, and must not add to a database's bad
day."""

BACKUP = "backup"
"""The beat that whoever makes backups writes (scripts/db_backup, a CronJob): worker_beats says that
something came, whoever did it."""

_SIZE = text("SELECT pg_database_size(current_database())")
_looking = threading.Lock()


@dataclass(frozen=True)
class Watched:
    """The beats; whether a walk over the hash chains found what nobody has explained; when the last
    backup was done, if one ever was; the database's size; the disputes that have not ended."""

    beats: list[BeatStanding]
    is_chain_broken: bool
    backup_at: datetime | None
    database_bytes: int
    disputes: list[OpenDisputes]


def read() -> Watched | None:
    """What was known last, if that was a moment ago; None where the database does not say it in
    time, which is as true for as long."""
    known: tuple[float, Watched | None] | None
    with _looking:
        known = current_app.extensions.get("watched")
        if known is None or time.monotonic() >= known[0]:
            known = (time.monotonic() + KNOWN_SECONDS, _asked())
            current_app.extensions["watched"] = known
    return known[1]


def database_answers() -> bool:
    """Whether it did when `read` asked it last, be it that a statement took too long."""
    return not current_app.extensions.get("database_said_nothing", False)


def _code(error: SQLAlchemyError) -> str | None:
    return getattr(getattr(error, "orig", None), "pgcode", None)


def _asked() -> Watched | None:
    current_app.extensions["database_said_nothing"] = False
    try:
        with db.engine.connect() as connection:
            connection.execute(text(f"SET LOCAL statement_timeout = '{PATIENCE}'"))
            return Watched(
                beats.read(connection=connection),
                chain_alarm.standing(connection=connection) is not None,
                _backup_at(connection),
                connection.execute(_SIZE).scalar_one(),
                disputes.open_ones(connection),
            )
    except SQLAlchemyError as error:
        log.warning("not_watched", error=type(error).__name__)
        # What PostgreSQL itself said no to has its code.
        current_app.extensions["database_said_nothing"] = not _code(error)
        return None


def _backup_at(connection: Connection) -> datetime | None:
    found: datetime | None = connection.scalar(select(BEAT.c.last_at).where(BEAT.c.beat == BACKUP))
    return found
