"""What this service stands on, and how it stands."""

from __future__ import annotations

import structlog
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from payment_service.extensions import cache, db

log = structlog.get_logger(__name__)

UP, DOWN, OFF = "UP", "DOWN", "OFF"


def check() -> dict[str, str]:
    """Each dependency's state: UP, DOWN, or OFF where none is set. The database decides."""
    return {"database": _database(), "redis": _redis()}


def _database() -> str:
    try:
        with db.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        log.warning("database_down", error=type(error).__name__)
        return DOWN
    return UP


def _redis() -> str:
    if cache.client is None:
        return OFF
    try:
        cache.client.ping()
    except RedisError as error:
        log.warning("redis_down", error=type(error).__name__)
        return DOWN
    return UP
