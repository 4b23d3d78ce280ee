"""Writes the audit log: who did what, in the transaction of the act itself.

One chain for the whole table: each row holds a hash over the one before it and its own columns, so
that a row which is changed, put in or taken out shows (services/audit_entries).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, text

from payment_service.config import settings
from payment_service.domain import events, jsontext
from payment_service.domain.acts import Act
from payment_service.extensions import db
from payment_service.models import AuditEntry
from payment_service.telemetry.requests import origin

ENTRY = AuditEntry.__table__

# Any number that no other use of advisory locks in this database has.
ONE_WRITER = 7_102_394_512

LONGEST_HELD = "5s"
"""Of a transaction that holds the chain and does nothing: its process was paused, or is gone. Half
of the lock_timeout (flask_settings), so that those who wait for it still come through; each of them
has a connection of the pool that refunds are made with."""

# Statements of their own: the second one must see what was committed while the first one waited.
_LOCK = text("""
    SELECT set_config('idle_in_transaction_session_timeout', :longest, true),
           pg_advisory_xact_lock(:one_writer)
""")
# A clock that was put back must not put an act before one that is there: digests are as of a time.
_LAST = text("""
    SELECT last.audit_id, last.chain, greatest(last.at, clock_timestamp()) AS at
    FROM (SELECT 1) AS always
    LEFT JOIN (SELECT * FROM audit_log ORDER BY audit_id DESC LIMIT 1) AS last ON true
""")


def write(
    *,
    actor: str,
    act: Act,
    object: str | None = None,
    reason: str | None = None,
    body: Mapping[str, Any] | None = None,
    session_id: int | None = None,
    address: str | None = None,
    connection: Connection | None = None,
) -> None:
    """Adds one act to the transaction of `connection`, or of db.session where none is given; the
    caller commits. To be called last, just before that: until then every other act waits.

    `actor` is who did it: `operator:7`, `cli:<system user>`, `web`. `object` is what it was done
    to, such as `operator:7`. `body` is what else there is to know: what jsontext.dumps takes.
    The id of the request, and where it is not given the operator's session and the address, are
    those of the request that is served. A row stays for ever: no secret, no e-mail and no name may
    be in it, but by its id.
    """
    if connection is None:
        db.session.flush()  # or it would lock rows while it holds the lock, and wait for others
        connection = db.session.connection()
    served = origin()
    hold(connection)
    last = connection.execute(_LAST).one()
    row: dict[str, Any] = {
        "audit_id": (last.audit_id or 0) + 1,
        "at": last.at,
        "actor": actor,
        "session_id": session_id if session_id is not None else served.session_id,
        "request_id": served.request_id,
        "address": address or served.address,
        "act": str(act),
        "object": object,
        "reason": reason,
        "body": None if body is None else jsontext.dumps(body),
    }
    head = None if last.chain is None else bytes(last.chain)
    connection.execute(insert(ENTRY).values(**row, chain=link(head, row)))


def hold(connection: Connection) -> None:
    """Until the connection's transaction ends nobody else adds an act. The database ends it if it
    does nothing for LONGEST_HELD."""
    connection.execute(_LOCK, {"one_writer": ONE_WRITER, "longest": LONGEST_HELD})


def link(head: bytes | None, row: Mapping[str, Any]) -> bytes:
    """The `chain` of a row, behind one whose chain is `head`: as of an event, over the JSON text of
    its other columns, those that are null left out, so that a later column changes no old one."""
    # SQLAlchemy's names are a kind of str, which JSON won't take.
    said = {str(name): value for name, value in row.items() if value is not None}
    said.pop("chain", None)
    at: datetime = row["at"]
    said["at"] = events.iso(at.astimezone(UTC))
    return events.chained(head, jsontext.canonical(said).decode(), None)


def unknown_name(name: str) -> str:
    """What stands for a name at a log-in that nobody here has: people type passwords there. Tries
    of one name have the same; whoever reads the table can't guess it, as SECRET_KEY is in it."""
    key = (settings().secret_key or "").encode()
    return "unknown:" + hmac.new(key, name.encode(errors="replace"), hashlib.sha256).hexdigest()[:8]
