"""Walks the events' hash chains: what was changed or taken away is found and named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, text

from payment_service.domain import events
from payment_service.extensions import db

CHUNK = 1000
"""Payments a query. Each has a snapshot of its own: one that lasted as long as the whole walk would
keep PostgreSQL from cleaning up behind the charges meanwhile."""

# A payment whose events are all gone still has its head, and one that never had any has none.
_CHAINS = text("""
    SELECT p.payment_id, p.audit_head, p.version, p.status, e.seq, e.type, e.from_status,
           e.to_status, e.actor, e.request_id, e.reason, e.occurred_at, e.body, e.chain
    FROM (SELECT payment_id, audit_head, version, status FROM payments
          WHERE payment_id > :after AND payment_id <= :last ORDER BY payment_id LIMIT :chunk) p
    LEFT JOIN events e ON e.payment_id = p.payment_id
    ORDER BY p.payment_id, e.seq
""")
_HEADS = text("""
    SELECT p.payment_id, e.chain
    FROM (SELECT payment_id FROM payments
          WHERE payment_id > :after ORDER BY payment_id LIMIT :chunk) p
    LEFT JOIN LATERAL (
        SELECT chain FROM events
        WHERE events.payment_id = p.payment_id AND occurred_at <= :until
        ORDER BY seq DESC LIMIT 1
    ) e ON true
    ORDER BY p.payment_id
""")
_ALL = 2**63 - 1


@dataclass(frozen=True)
class Broken:
    """The first thing that does not fit. `seq` None: it is the payment's row, not an event."""

    payment_id: int
    seq: int | None
    what: str

    def __str__(self) -> str:
        row = "its row in payments" if self.seq is None else f"event {self.seq}"
        return f"payment {self.payment_id}, {row}: {self.what}"


@dataclass(frozen=True)
class Report:
    """How much was walked until the end, or until what is broken."""

    payments: int
    events: int
    broken: Broken | None


@dataclass(frozen=True)
class Digest:
    """One hash over the chains of all payments as they stood at a time."""

    payments: int
    sha256: str


def verify(*, payment_id: int | None = None) -> Report:
    """Walks all chains, or one, oldest payment first, and stops at the first that does not fit."""
    payments = told = 0
    with db.engine.connect() as connection:
        for chain in _chains(connection, payment_id):
            payments += 1
            told += sum(row.seq is not None for row in chain)
            if broken := _check(chain):
                return Report(payments, told, broken)
    return Report(payments, told, None)


def broken_in(connection: Connection, payment_id: int) -> Broken | None:
    """What does not fit in one payment's chain, in the database that the connection is to."""
    for chain in _chains(connection, payment_id):
        if broken := _check(chain):
            return broken
    return None


def digest(*, until: datetime) -> Digest:
    """Over each payment's last hash of `until`. Kept outside of this database, it shows later
    that a whole chain, or its end together with the payment's head, was replaced."""
    whole = hashlib.sha256()
    payments = after = 0
    with db.engine.connect() as connection:
        while True:
            values = {"after": after, "chunk": CHUNK, "until": until}
            found = connection.execute(_HEADS, values).all()
            connection.rollback()
            if not found:
                return Digest(payments, whole.hexdigest())
            for row in found:
                if row.chain is not None:
                    payments += 1
                    whole.update(f"{row.payment_id}:{bytes(row.chain).hex()}\n".encode())
            after = found[-1].payment_id


def _chains(connection: Connection, payment_id: int | None) -> Iterator[list[Row[Any]]]:
    """Each payment's events in their order, with the payment's own columns on every row."""
    after, last = (0, _ALL) if payment_id is None else (payment_id - 1, payment_id)
    while after < last:
        values = {"after": after, "last": last, "chunk": CHUNK}
        found = connection.execute(_CHAINS, values).all()
        connection.rollback()
        if not found:
            return
        for _, rows in groupby(found, key=lambda row: row.payment_id):
            yield list(rows)
        after = found[-1].payment_id


def _check(chain: list[Row[Any]]) -> Broken | None:
    last = chain[-1]
    if last.seq is None:
        if last.audit_head is None:
            return None
        return Broken(last.payment_id, None, "it has an audit_head, but all its events are gone")
    head: bytes | None = None
    before: int | None = None
    for row in chain:
        if before is not None and row.seq != before + 1:
            return Broken(row.payment_id, row.seq, f"it follows event {before}; one is missing")
        head, before = events.chained(head, row.body), row.seq
        if bytes(row.chain) != head:
            return Broken(row.payment_id, row.seq, "its hash does not follow from its body")
        if column := _contradicting(row):
            return Broken(row.payment_id, row.seq, f"its {column} is not what its body says")
    return _check_head(last, head)


def _check_head(last: Row[Any], head: bytes | None) -> Broken | None:
    """The payment's row against its last event."""
    if last.audit_head is None or bytes(last.audit_head) != head:
        what = "its audit_head is not the last event's hash; events were taken from the end"
    elif last.version != last.seq:
        what = f"its version is {last.version}, its last event is {last.seq}"
    elif last.status != last.to_status:
        what = f"its status is {last.status}, its last event says {last.to_status}"
    else:
        return None
    return Broken(last.payment_id, None, what)


def _contradicting(row: Row[Any]) -> str | None:
    """The first column that is not what the hashed body says."""
    body = json.loads(row.body)
    data = body["data"]
    said = {
        "payment_id": data["payment_id"],
        "seq": int(body["id"].rpartition("-")[2]),
        "type": body["type"].removesuffix(f".{events.VERSION}"),
        "occurred_at": datetime.fromisoformat(body["time"]),
        "from_status": data["from_status"],
        "to_status": data["status"],
        **{name: data[name] for name in ("actor", "request_id", "reason")},
    }
    return next((name for name, value in said.items() if getattr(row, name) != value), None)
