"""The acts of the audit log since the backup come back, as they stood in the replaced database."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, text

from payment_service.extensions import db
from payment_service.services import audit_entries, audit_log
from payment_service.services.audit_log import ENTRY

_THERE = text("SELECT to_regclass('public.audit_log') IS NOT NULL")
_LAST = select(ENTRY).order_by(ENTRY.c.audit_id.desc()).limit(1)


def bring_acts_back(replaced: Connection) -> tuple[int, str | None]:
    """How many acts came back, and why no more did, if there are more. They are believed as far as
    their chain fits, and goes on from that of the backup."""
    if not replaced.execute(_THERE).scalar_one():
        return 0, None  # its tables are older
    with db.engine.begin() as connection:
        audit_log.hold(connection)
        before = connection.execute(_LAST).mappings().first()
        theirs = audit_entries.rows(replaced, after=before["audit_id"] - 1 if before else None)
        if before:
            same = next(theirs, None)
            if same is None or bytes(same["chain"]) != bytes(before["chain"]):
                return 0, "it does not go on from that of the backup"
        came = 0
        for row in theirs:
            if wrong := audit_entries.fault(before, row):
                return came, str(wrong)
            connection.execute(insert(ENTRY).values(**row))
            before, came = row, came + 1
    return came, None
