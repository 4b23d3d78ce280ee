"""Whether a pooler such as PgBouncer stands between us and the database, and lends its connections
for a transaction at a time: then nothing may be left on a connection, and the next one found there.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from payment_service.extensions import READS, db

_LOOKS = 3
"""A busy pooler may give a connection the same backend twice running."""

_REFUSED = "unsupported startup parameter"
"""What PgBouncer says to `options`, which we send unless DB_PREPARE is false."""


def lends() -> bool:
    """Whether another connection was seen to work in the backend that ours had, or ours to change
    it. A pooler that gives each connection a backend for as long as it lasts (session mode) does
    not. Raises OperationalError where the database does not answer."""
    try:
        return _seen()
    except OperationalError as error:
        if _REFUSED in str(error.orig):
            return True
        raise


def _seen() -> bool:
    with db.engines[READS].connect() as one:
        # A pooler makes up the number that it tells as that of the process at the other end.
        told: Any = one.connection.driver_connection
        one.detach()  # closed at the end: where no replica is read, it would stay for nothing
        mine = _backend(one)
        if told.info.backend_pid == mine:
            return False
        with db.engine.connect() as other:
            return any(_backend(other) == mine or _backend(one) != mine for _ in range(_LOOKS))


def _backend(connection: Connection) -> int:
    pid: int = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    return pid
