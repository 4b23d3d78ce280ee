"""Lists as CSV, read and sent chunk by chunk.

Between two chunks nothing is held: no transaction, no connection, no thread. A file is whole, or
its transfer breaks off: an error is raised out of the middle of it, and whoever sends it aborts.
"""

from __future__ import annotations

import csv
import json
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from io import StringIO
from typing import Any

import structlog
from flask import Flask, current_app

from payment_service.domain import money
from payment_service.domain.acts import Act
from payment_service.domain.events import iso
from payment_service.domain.jobs import RoleTooLow
from payment_service.domain.operators import Busy, By, Refused, Role
from payment_service.domain.pages import is_at_least
from payment_service.extensions import db
from payment_service.schemas.lists import Cursor, Page
from payment_service.services import audit_log, listings
from payment_service.telemetry.requests import origin

log = structlog.get_logger(__name__)

CHUNK = 1000
"""Rows a query: some ten milliseconds of the database, and a quarter of a megabyte of text."""
AT_ONCE = 2
"""In one process. Each keeps a core busy as long as its reader keeps up."""
NEEDED = Role.OPERATOR
"""A file leaves the house; to look at a page is not the same."""
RETRY_SECONDS = 30

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


class Sheet(StrEnum):
    """What can be exported."""

    PAYMENTS = "payments"
    REFUNDS = "refunds"
    AUDIT = "audit"


class TooManyRows(Refused):
    """More fits than one file may have."""


class TooManyExports(Busy):
    """As many as may be are under way in this process."""


@dataclass(frozen=True)
class Layout:
    """Which list a sheet is of, and its columns: names that the list's rows have."""

    noun: str
    lists: Callable[..., Mapping[str, Any]]
    columns: tuple[str, ...]


LAYOUTS = {
    Sheet.PAYMENTS: Layout(
        "payments",
        listings.list_payments,
        (
            *("payment_id", "reference", "caller_reference", "trip_id", "order_id", "rider_id"),
            *("driver_id", "user_id", "purpose", "method", "provider", "provider_reference"),
            *("status", "amount", "captured", "refunded", "currency", "failure_code"),
            *("failure_message", "description", "metadata", "created_at", "updated_at"),
            *("completed_at", "captured_at", "expires_at"),
        ),
    ),
    Sheet.REFUNDS: Layout(
        "refunds",
        listings.list_refunds,
        (
            *("refund_id", "payment_id", "status", "amount", "currency", "reason"),
            *("provider_reference", "failure_code", "failure_message", "created_at"),
            *("updated_at", "completed_at", "caller"),
        ),
    ),
    Sheet.AUDIT: Layout(
        "acts",
        listings.list_acts,
        (
            *("audit_id", "at", "actor", "act", "object", "reason", "body", "session_id"),
            *("request_id", "address"),
        ),
    ),
}
_AMOUNTS = frozenset({"amount", "captured", "refunded"})


def export(*, sheet: Sheet, filters: Mapping[str, Any], by: By) -> Export:
    """The rows of the list that fit its `filters`, as services/listings takes them, newest first.
    Who began it, and once it is whole how many rows it has, is written down.

    Whoever gets it closes it. Raises RoleTooLow, TooManyExports, TooManyRows.
    """
    if by.operator_id is not None and (by.role is None or not is_at_least(by.role, NEEDED)):
        raise RoleTooLow(f"This is for operators with the role {NEEDED}. Yours is {by.role}.")
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    made = Export(app, sheet, dict(filters), by)
    try:
        made.start()
    except BaseException:
        made.close()
        raise
    return made


_slots_lock = threading.Lock()


def _take_place(app: Flask) -> threading.Semaphore:
    with _slots_lock:
        places: threading.Semaphore = app.extensions.setdefault(
            "exports", threading.BoundedSemaphore(AT_ONCE)
        )
    if not places.acquire(blocking=False):
        raise TooManyExports(
            f"{AT_ONCE} exports are under way already. Nothing was begun; try again in a while."
        )
    return places


class Export(Iterator[str]):
    """The file's text, piece by piece. It is no generator: one that was never begun would not hear
    of its end, and keep its place among the AT_ONCE.

    A piece may be asked for by any thread, one at a time.
    """

    def __init__(self, app: Flask, sheet: Sheet, filters: Mapping[str, Any], by: By) -> None:
        self._app, self._sheet, self._filters, self._by = app, sheet, filters, by
        self._shape = LAYOUTS[sheet]
        self._most = app.extensions["settings"].export_max_rows
        self._address = origin().address
        self._ready: str | None = None
        self._cursor: Cursor | None = None
        self._more = True
        self._whole = False
        self.rows = 0
        # Once, however it ends: closed, or lost.
        self._leave = weakref.finalize(self, _take_place(app).release)

    def start(self) -> None:
        """Reads the first chunk, so that what can't be read is told before anything is sent."""
        chunk = self._read()
        if self._more and self.rows < self._most:
            beyond = self._page(1, offset=self._most)[self._shape.noun]
        else:
            beyond = [None] if self._more else []
        if beyond or self.rows > self._most:
            raise TooManyRows(
                f"More than {self._most} rows fit, the most that a file may have. Narrow it, by"
                " time for example."
            )
        self._write(Act.EXPORT_BEGUN)
        self._ready = ",".join(self._shape.columns) + "\r\n" + chunk

    def __next__(self) -> str:
        with self._app.app_context():
            text, self._ready = self._ready, None
            if text is None:
                if not self._more or not self._leave.alive:
                    raise StopIteration
                text = self._read()
                if self.rows > self._most:
                    raise TooManyRows(f"more than {self._most} rows fit by now")
            if not self._more:
                # Before the last bytes are given away: who has the file is surely in the log.
                self._write(Act.EXPORTED, rows=self.rows)
                self._whole = True
        return text

    def close(self) -> None:
        """Nobody asks for more. Asks no database: the thread that serves all connections calls it
        for a client that is gone."""
        if self._leave.alive and self.rows and not self._whole:
            log.warning("export_broke_off", sheet=str(self._sheet), rows=self.rows)
        self._more, self._ready = False, None
        self._leave()

    def _read(self) -> str:
        """The next chunk, on a connection that is given back with it."""
        found = self._page(CHUNK)
        rows = found[self._shape.noun]
        self.rows += len(rows)
        self._more = found["has_more"]
        self._cursor = Cursor.read(found["next_cursor"]) if self._more else None
        text = StringIO()
        writer = csv.writer(text)
        writer.writerows([_cell(name, row) for name in self._shape.columns] for row in rows)
        return text.getvalue()

    def _page(self, limit: int, offset: int = 0) -> Mapping[str, Any]:
        page = Page(limit, offset, None if offset else self._cursor, total=False)
        return self._shape.lists(page=page, filters=self._filters)

    def _write(self, act: Act, **body: Any) -> None:
        told = {name: _plain(value) for name, value in sorted(self._filters.items())}
        with db.engine.begin() as connection:
            audit_log.write(
                actor=self._by.name,
                act=act,
                object=f"export:{self._sheet}",
                body={"filters": told, **body},
                session_id=self._by.session_id,
                address=self._address,
                connection=connection,
            )


def _plain(value: Any) -> Any:
    """As JSON takes it."""
    if isinstance(value, datetime):
        return iso(value.astimezone(UTC))
    return value if isinstance(value, int) else str(value)


def _cell(name: str, row: Mapping[str, Any]) -> str:
    value = row[name]
    if value is None:
        return ""
    if name in _AMOUNTS:
        return money.format_amount(value, row["currency"])
    if isinstance(value, datetime):
        return iso(value.astimezone(UTC))
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False) if value else ""
    text = str(value)
    # A spreadsheet would run it.
    return f"'{text}" if text.startswith(_FORMULAS) else text
