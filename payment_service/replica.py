"""Lists and figures from a read replica (DATABASE_READ_URL), and how old they may be.

Only what is asked within `may_answer` goes there. What decides about money is asked elsewhere: GET
by id, replays, and a list that names one trip or payment, which callers ask to know whether it is
paid.

The age is not told by clocks, nor by the replica's own word, since one that was cut from its
primary does not know it: once a second each process notes how far the primary has written, and
then how far the replica has come. All that was there when the primary had written so far is in the
replica, so nothing that it gives is older than the newest such moment.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import psycopg2
import structlog
from flask import Flask, Response, current_app, g
from sqlalchemy.exc import DBAPIError

from payment_service.extensions import READS, REPLICA
from payment_service.statements import Disconnected, Statement, TookTooLong
from payment_service.telemetry.metrics import LISTS

log = structlog.get_logger(__name__)

KNOWN_SECONDS = 1.0
"""How long what is known of it is good enough: two short questions a second and process."""
AWAY_SECONDS = 10.0
"""How long nobody asks it after it did not answer, so that nobody waits for it meanwhile."""
ONE = frozenset({"payment_id", "trip_id", "order_id", "reference"})
"""Filters that name one thing."""
WRITTEN_LATE = timedelta(seconds=15)
"""Rows are written after the moment that they bear: a statement waits 10 s for a lock at most, and
clocks differ."""
HEADER = "Data-Age"

_CONFLICT = ("40001", "57014")
"""It gave up a question because it had to apply what the question still needed."""
_SILENT = (Disconnected, psycopg2.Error, DBAPIError)

# One that was promoted, or is a primary by mistake, has what it has written.
_WRITTEN = "pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
_ASK_PRIMARY = Statement("written", f"SELECT {_WRITTEN}", {}, prepared=False)
_ASK_REPLICA = Statement(
    "replayed",
    "SELECT CASE WHEN pg_is_in_recovery() THEN"
    f" pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint ELSE {_WRITTEN} END",
    {},
    prepared=False,
)

T = TypeVar("T")


class Replica:
    """What this process knows of the replica. `max_age`, in seconds, is how old it may be."""

    def __init__(self, max_age: float) -> None:
        self._max_age = max_age
        self._marks: deque[tuple[float, int]] = deque()
        self._complete_until: float | None = None
        self._ask_at = 0.0
        self._asking = threading.Lock()
        self._is_used = True

    def age(self) -> float | None:
        """How old what it gives now may be, in seconds; None where the primary is to be asked."""
        if time.monotonic() >= self._ask_at and self._asking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._asking.release()
        complete = self._complete_until
        age = None if complete is None else time.monotonic() - complete
        return None if age is None or age > self._max_age else age

    def failed(self, error: BaseException) -> None:
        """It did not answer a question."""
        told = getattr(error, "orig", None) or error.__cause__ or error
        code = getattr(told, "pgcode", None)
        if code in _CONFLICT:
            log.info("replica_gave_up", code=code)
            return
        self._ask_at = time.monotonic() + AWAY_SECONDS
        self._complete_until = None
        self._marks.clear()
        self._says(False, error=type(told).__name__, code=code)

    def _look(self) -> None:
        now = time.monotonic()
        self._ask_at = now + KNOWN_SECONDS
        try:
            ((written,),) = _ASK_PRIMARY.read({}, READS)
            self._marks.append((now, written))
        except _SILENT:
            pass  # while it is away, the replica's age grows
        try:
            ((reached,),) = _ASK_REPLICA.read({}, REPLICA)
        except _SILENT as error:
            self.failed(error)
            return
        while self._marks and self._marks[0][1] <= reached:
            self._complete_until = self._marks.popleft()[0]
        while self._marks and now - self._marks[0][0] > self._max_age:
            self._marks.popleft()
        complete = self._complete_until
        self._says(complete is not None and now - complete <= self._max_age)

    def _says(self, used: bool, **why: str | None) -> None:
        """Once for each change."""
        if used and not self._is_used:
            log.info("replica_is_back")
        if not used and self._is_used:
            log.warning("replica_is_not_used", **why)
        self._is_used = used


@contextmanager
def may_answer(filters: Iterable[str] = (), *, beside: datetime | None = None) -> Iterator[None]:
    """What is asked in this block may come from the replica, unless the filters name one thing.

    A page that goes on from one row is `beside` that row's time. The page before may be the
    primary's: a replica that lacks rows of that time would leave them out of the list.
    """
    g.may_be_old = ONE.isdisjoint(filters)
    g.page_beside = beside
    try:
        yield
    finally:
        g.may_be_old = False


def answer(ask: Callable[[str | None], T], primary: str | None = READS) -> T:
    """What `ask` gives of the replica's pool where that may answer and can; else of the primary's.
    Raises what it raises there, and TookTooLong."""
    found: Replica | None = current_app.extensions.get("replica")
    if found is None or not g.get("may_be_old"):
        return ask(primary)
    age = found.age()
    if age is not None and _holds_page(age):
        try:
            given = ask(REPLICA)
        except TookTooLong:
            raise
        except _SILENT as error:
            found.failed(error)
        else:
            g.data_age = max(age, g.get("data_age", 0.0))
            LISTS.labels("replica").inc()
            return given
    LISTS.labels("primary").inc()
    return ask(primary)


def _holds_page(age: float) -> bool:
    """Whether a replica that is so old holds all rows around the page's."""
    beside: datetime | None = g.get("page_beside")
    return beside is None or datetime.now(UTC) - beside > timedelta(seconds=age) + WRITTEN_LATE


def told_age() -> int | None:
    """Whole seconds, rounded up: how old at most what was read for this answer is. None where all
    of it is the primary's."""
    age = g.get("data_age")
    return None if age is None else int(-(-age // 1))


def init_app(app: Flask) -> None:
    """Where there is a replica, and then answers from it say how old they may be."""
    settings = app.extensions["settings"]
    app.add_template_global(told_age, "data_age")
    if settings.database_read_url is None:
        return
    app.extensions["replica"] = Replica(settings.database_read_max_age)

    @app.after_request
    def tell(response: Response) -> Response:
        age = told_age()
        if age is not None:
            response.headers[HEADER] = str(age)
        return response
