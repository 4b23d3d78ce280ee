"""Writes down under which settings a process was started, and says what looks odd in them."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import os
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from payment_service import pooler
from payment_service.config import BadSettings, Settings, other_names, settings
from payment_service.domain import jsontext
from payment_service.domain.acts import Act
from payment_service.extensions import db
from payment_service.services import audit_log
from payment_service.services.audit_log import ENTRY
from payment_service.services.moves.operations import providers

log = structlog.get_logger(__name__)

APART = timedelta(hours=1)
"""A hundred replicas that are started one after the other are there in less, and are one row. One
that is started again and again makes at most 24 rows a day."""

_UNLIMITED = text("""
    SELECT name FROM pg_settings WHERE setting = '0' AND
        name IN ('lock_timeout', 'idle_in_transaction_session_timeout') ORDER BY name
""")

# Whoever holds the chain for longer must not hold up a start.
_PATIENCE = text("SET LOCAL lock_timeout = '2s'")


def write_down(*, process: str, started: datetime) -> bool:
    """Whether it wrote the settings' hash, as the act of a process of this kind (`web`, `worker`)
    that was started then. It does so unless one of the same kind did, under the same settings,
    since an hour before: all workers of one gunicorn may ask, whenever they come, and all replicas.

    A database that is away, or has no tables yet, is said in the log and stops nobody.
    """
    hash_ = fingerprint(settings())
    same = (
        select(ENTRY.c.audit_id)
        .where(ENTRY.c.at >= started - APART)
        .where(ENTRY.c.act == Act.SETTINGS_AT_START)
        .where(ENTRY.c.actor == process, ENTRY.c.object == hash_)
        .limit(1)
    )
    try:
        with db.engine.begin() as connection:
            connection.execute(_PATIENCE)
            audit_log.hold(connection)  # or all that start at once would find none
            if connection.execute(same).first():
                return False
            audit_log.write(
                actor=process, act=Act.SETTINGS_AT_START, object=hash_, connection=connection
            )
    except DBAPIError as error:
        log.warning("settings_not_written_down", settings=hash_, error=type(error).__name__)
        return False
    return True


def look_at_database() -> None:
    """Raises BadSettings if a pooler lends connections for a transaction and we would prepare
    statements on them: those that another release prepared there would be run as ours. Says in the
    log whether locks are waited for without end. Raises OperationalError if the database is away.
    """
    if settings().db_prepare:
        if pooler.lends():
            raise BadSettings(
                {"DB_PREPARE": ["must be false behind a pooler in transaction mode (PgBouncer)"]}
            )
        return
    with db.engine.connect() as connection:
        unlimited = list(connection.execute(_UNLIMITED).scalars())
    if unlimited:
        log.warning(
            "database_waits_without_end",
            unlimited=unlimited,
            why="with DB_PREPARE=false they are the role's: see docs/operations/pgbouncer.md",
        )


def warn_of_names() -> None:
    """Says in the log which variables of earlier platforms do nothing here, and why."""
    for name, why in other_names.without_effect(os.environ).items():
        log.warning("setting_without_effect", setting=name, why=why)


def warn_of_routes() -> None:
    """Says in the log whom no charge will reach. It may be meant: who is taken out of use loses the
    route first, and stays on for what is open."""
    for name in providers().unrouted():
        log.warning(
            "provider_gets_no_charges",
            provider=name,
            why=f"{name} is on, and no route of PROVIDER_ROUTES leads to it",
        )
    for name in providers().routed_but_off():
        log.warning(
            "route_leads_nowhere",
            provider=name,
            why=f"PROVIDER_ROUTES names {name}, which is off",
        )


def fingerprint(found: Settings) -> str:
    """32 digits that are others as soon as any setting is. SECRET_KEY is in it, so that nobody
    finds a password by trying which one gives the same."""
    key = (found.secret_key or "").encode()
    told = jsontext.canonical(dataclasses.asdict(found))
    return "settings:" + hmac.new(key, told, hashlib.sha256).hexdigest()[:32]
