"""What this service stands on, and how it stands."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import structlog
from flask import current_app
from psycopg2.errors import UndefinedTable
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from payment_service.config import settings
from payment_service.extensions import cache, db
from payment_service.identity.tokens import Tokens
from payment_service.outbox import rabbitmq
from payment_service.services.moves.operations import providers
from payment_service.version import SCHEMA

log = structlog.get_logger(__name__)

UP, DOWN, OFF = "UP", "DOWN", "OFF"

BROKER_PATIENCE = 0.5
"""Seconds, as for Redis: a probe has about one, and must not fail for what only degrades."""
BROKER_KNOWN_SECONDS = 5.0
"""A look at the broker is a connection of its own, and several sides probe every few seconds."""

DOWN_SECONDS = 15.0
"""How long it is believed that the database is down by who only asks whether the process lives. One
that is gone without a word costs each look five seconds, and a probe has no more."""

ENDS_SOON = timedelta(days=30)
"""A bank takes days for a new certificate, and people are on holiday."""

_known: dict[str, tuple[str, float]] = {}
"""By URL: how its broker stood, and until when that is good enough."""
_looking = threading.Lock()
_checking = threading.Lock()


def check() -> dict[str, str]:
    """Each dependency's state: UP, DOWN, or OFF where none is set. The database decides. `keys`, of
    tokens, are among them where somebody serves them; `schema` is where a migration is missing."""
    states = {"database": database(), "redis": _redis(), "rabbitmq": _rabbitmq()}
    tokens: Tokens | None = current_app.extensions["tokens"]
    if tokens is not None and (well := tokens.keys.is_well()) is not None:
        states["keys"] = UP if well else DOWN
    if states["database"] == UP and missing_migrations() is not None:
        states["schema"] = DOWN
    _note(states)
    return states


def known() -> dict[str, str]:
    """As `check`, for who asks whether the process lives, and must not take a silent database for a
    dead process: while somebody checks, and for a while after the database was down, it tells what
    was known last."""
    states, until = current_app.extensions.get("health_known", ({"database": DOWN}, 0.0))
    if time.monotonic() < until or not _checking.acquire(blocking=False):
        return dict(states)
    try:
        states = check()
        until = time.monotonic() + DOWN_SECONDS if states["database"] == DOWN else 0.0
        current_app.extensions["health_known"] = (states, until)
    finally:
        _checking.release()
    return states


def is_ready(states: dict[str, str]) -> bool:
    """Whether requests can be served, as these states of `check` say."""
    return states["database"] == UP and "schema" not in states


def down_since() -> dict[str, datetime]:
    """Since when this process knows of each dependency that it is down: the first of the checks
    that went wrong since the last one that went well. Probes check every few seconds."""
    return dict(current_app.extensions.get("down_since", {}))


def _note(states: dict[str, str]) -> None:
    known = current_app.extensions.get("down_since", {})
    now = datetime.now(UTC)
    down = {name: known.get(name, now) for name, state in states.items() if state == DOWN}
    current_app.extensions["down_since"] = down


def certificate_ends() -> dict[str, datetime | None]:
    """When the certificates are over by which providers know us, by the provider's name; None for
    one that can't be read."""
    ends: dict[str, datetime | None] = {}
    for provider in providers().all():
        try:
            end = provider.certificate_ends()
        except (OSError, ValueError):
            ends[provider.name] = None
        else:
            if end is not None:
                ends[provider.name] = end
    return ends


def warnings(states: dict[str, str]) -> list[str]:
    """What fails, or will fail soon, if nobody sees to it; `states` are those of `check`."""
    found = []
    if "schema" in states and (missing := missing_migrations()) is not None:
        found.append(missing)
    for name, end in certificate_ends().items():
        if end is None:
            found.append(f"the certificate for {name} can't be read")
        elif end - datetime.now(UTC) < ENDS_SOON:
            found.append(f"the certificate for {name} ends at {end:%Y-%m-%dT%H:%M:%SZ}")
    return found


def database() -> str:
    """Whether it answers: UP or DOWN."""
    try:
        with db.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        log.warning("database_down", error=type(error).__name__)
        return DOWN
    return UP


def missing_migrations() -> str | None:
    """What is to be done where the database's schema is older than this code needs; None where it
    is new enough, which is asked until it is so, or where the database can't tell."""
    if current_app.extensions.get("schema_is_new_enough"):
        return None
    try:
        with db.engine.connect() as connection:
            found = connection.scalar(text("SELECT max(version_num) FROM alembic_version"))
    except ProgrammingError as error:
        if not isinstance(error.orig, UndefinedTable):
            return None
        found = None
    except SQLAlchemyError:
        return None
    if found is not None and found >= SCHEMA:
        current_app.extensions["schema_is_new_enough"] = True
        return None
    log.warning("migrations_missing", found=found, needed=SCHEMA)
    return f"the database is at migration {found or 'none'} and needs {SCHEMA}: flask db upgrade"


def _redis() -> str:
    if cache.client is None:
        return OFF
    try:
        cache.client.ping()
    except RedisError as error:
        log.warning("redis_down", error=type(error).__name__)
        return DOWN
    return UP


def _rabbitmq() -> str:
    """One looks at a time; meanwhile the others tell what was known last, if anything was."""
    url = settings().rabbitmq_url
    if not url:
        return OFF
    if not _fresh(url) and _looking.acquire(blocking=url not in _known):
        try:
            if not _fresh(url):
                state = UP if rabbitmq.is_up(url, BROKER_PATIENCE) else DOWN
                _known[url] = (state, time.monotonic() + BROKER_KNOWN_SECONDS)
                if state == DOWN:
                    log.warning("rabbitmq_down")
        finally:
            _looking.release()
    return _known[url][0]


def _fresh(url: str) -> bool:
    return url in _known and time.monotonic() < _known[url][1]
