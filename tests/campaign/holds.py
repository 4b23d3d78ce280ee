"""Holds single requests of the service at a commit, by triggers and advisory locks in the
campaign's own database: the service under test knows nothing of it.

A request whose X-Request-ID is `campaign.begin.<n>` waits in the commit of its begin for as long as
the campaign holds the advisory lock n, and one with `campaign.finish.<n>` in the commit of its
finish. The triggers are deferred, so they run in the commit itself, after all its statements.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.campaign.stage import Stage

_INSTALL = """
CREATE FUNCTION campaign_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(split_part(NEW.request_id, '.', 3)::bigint);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER campaign_hold_begin AFTER INSERT ON transactions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.request_id LIKE 'campaign.begin.%') EXECUTE FUNCTION campaign_hold();
CREATE CONSTRAINT TRIGGER campaign_hold_finish AFTER UPDATE ON transactions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.request_id LIKE 'campaign.finish.%'
          AND OLD.status = 'PROCESSING' AND NEW.status <> 'PROCESSING')
    EXECUTE FUNCTION campaign_hold();
"""
# The victim is the first in line: the worker's look-ups come seconds later.
_WAITING = """
    SELECT l.pid FROM pg_locks l
    WHERE l.locktype = 'advisory' AND NOT l.granted AND l.objid = %s AND l.objsubid = 1
    ORDER BY l.waitstart LIMIT 1
"""


class NotThere(Exception):
    """The request did not come to the place at which it was to be met."""


def install(stage: Stage) -> None:
    """Puts the triggers into the campaign's database."""
    with stage.connect() as connection, connection.cursor() as cursor:
        cursor.execute(_INSTALL)


class Hold:
    """One advisory lock, held until `release`."""

    def __init__(self, connection: Any, place: str, number: int) -> None:
        self._connection, self._number = connection, number
        self.request_id = f"campaign.{place}.{number}"
        self._query("SELECT pg_advisory_lock(%s)", number)

    def victim(self, given_up: Callable[[], bool]) -> int:
        """The database process that waits in the commit. Raises NotThere."""
        return int(until(lambda: self._query(_WAITING, self._number), given_up, "the commit"))

    def end(self, backend: int) -> None:
        """Ends a waiting database process: what it was about to commit is rolled back."""
        self._query("SELECT pg_terminate_backend(%s)", backend)
        gone = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = %s)"
        until(lambda: self._query(gone, backend), lambda: False, "the end of the database process")

    def release(self) -> None:
        self._query("SELECT pg_advisory_unlock_all()")

    def row(self) -> dict[str, Any] | None:
        """The request's transaction as it is committed."""
        return row_of(self._connection, self.request_id)

    def _query(self, query: str, *values: Any) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(query, values)
            found = cursor.fetchone()
        return found[0] if found else None


@contextlib.contextmanager
def held(stage: Stage, place: str, number: int) -> Iterator[Hold]:
    """Holds the requests that bear the hold's request_id at `place`: begin or finish."""
    with stage.connect() as connection:
        hold = Hold(connection, place, number)
        try:
            yield hold
        finally:
            with contextlib.suppress(Exception):  # closing the connection lets go as well
                hold.release()


def row_of(connection: Any, request_id: str) -> dict[str, Any] | None:
    """The transaction that a request has begun, if that is committed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT payment_id, number, status, reference FROM transactions WHERE request_id = %s",
            [request_id],
        )
        found = cursor.fetchone()
    names = ("payment_id", "number", "status", "reference")
    return dict(zip(names, found, strict=True)) if found else None


def until(
    look: Callable[[], Any], given_up: Callable[[], bool], what: str, seconds: float = 3.0
) -> Any:
    """What `look` finds. Raises NotThere if it never comes to it."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if given_up() or time.monotonic() > deadline:
            raise NotThere(f"it did not come to {what}")
        time.sleep(0.01)
    return found
