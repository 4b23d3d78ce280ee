"""Walks the audit log: whether its one chain holds, and how it ended at a moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, select

from payment_service.services.audit_log import ENTRY, link
from payment_service.services.audit_reading import legible

CHUNK = 1000
"""Acts a query: some hundred kilobytes. What is there never changes, so each may see its own
moment."""


@dataclass(frozen=True)
class BrokenEntry:
    """A row of audit_log that does not fit; `column` where one is to be named."""

    audit_id: int
    what: str
    column: str | None = None

    def __str__(self) -> str:
        return f"act {self.audit_id} in audit_log: {self.what}"


def check(connection: Connection, *, most: int) -> tuple[int, list[BrokenEntry]]:
    """How many acts were walked, and what does not fit; at `most` of these the walk ends."""
    acts = 0
    broken: list[BrokenEntry] = []
    before: RowMapping | None = None
    for row in rows(connection):
        acts += 1
        if wrong := fault(before, row):
            broken.append(wrong)
        if len(broken) == most:
            break
        before = row
    return acts, broken


def rows(connection: Connection, *, after: int | None = None) -> Iterator[RowMapping]:
    """All acts, or those behind an id, in order."""
    ordered = select(*map(legible, ENTRY.c)).order_by(ENTRY.c.audit_id).limit(CHUNK)
    while True:
        query = ordered if after is None else ordered.where(ENTRY.c.audit_id > after)
        found = connection.execute(query).mappings().all()
        connection.rollback()
        yield from found
        if len(found) < CHUNK:
            return
        after = found[-1]["audit_id"]


def fault(before: RowMapping | None, row: RowMapping) -> BrokenEntry | None:
    """What of a row does not fit behind the one before it, as that stands."""
    audit_id, last = row["audit_id"], before["audit_id"] if before else 0
    if audit_id != last + 1:
        after = f"it follows act {last}" if before else "it is the first"
        what = f"{after}; one is missing, or has another audit_id"
        return BrokenEntry(audit_id, what, "audit_id")
    head = bytes(before["chain"]) if before else None
    if bytes(row["chain"]) != link(head, dict(row)):
        what = "its chain is not the hash of the one before and its own columns"
        return BrokenEntry(audit_id, what, "chain")
    return None


def last_at(connection: Connection, moment: datetime) -> Row[Any] | None:
    """The id and the chain of the last act that was written until then. No later act is from before
    it (audit_log.write), so the ids count them."""
    query = (
        select(ENTRY.c.audit_id, ENTRY.c.chain)
        .where(ENTRY.c.at <= moment)
        .order_by(ENTRY.c.at.desc(), ENTRY.c.audit_id.desc())
        .limit(1)
    )
    return connection.execute(query).one_or_none()
