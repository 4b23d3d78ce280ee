"""Moves the restored database's identities beyond every id that was ever given out."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, text

IDS_A_SECOND = 10_000
"""More than one PostgreSQL ever gave out here: docs/performance.md has its charges a second."""

_SEQUENCES = text("""
    SELECT sequencename, coalesce(last_value, start_value - 1) AS last
    FROM pg_sequences WHERE schemaname = 'public'
""")
_MOVE = text("SELECT setval(format('public.%I', CAST(:name AS text)), :last)")


def move_beyond(
    connection: Connection, *, replaced: Connection | None, backup_of: datetime | None
) -> int:
    """Moves each sequence beyond where it stands in the replaced database. Gives how many moved.

    Without that database (None) nobody knows what was given out since `backup_of`: neither do the
    providers, whose references hold no id. So it is as many as can have been.
    """
    theirs = dict(_last(replaced)) if replaced else {}
    since = backup_of or datetime.fromtimestamp(0, UTC)
    seconds = max(1, round((datetime.now(UTC) - since).total_seconds()))
    leap = 0 if replaced else IDS_A_SECOND * seconds
    moved = 0
    for name, ours in _last(connection):
        last = max(ours + leap, theirs.get(name, 0))
        if last > ours:
            connection.execute(_MOVE, {"name": name, "last": last})
            moved += 1
    return moved


def _last(connection: Connection) -> list[tuple[str, int]]:
    return [(row.sequencename, row.last) for row in connection.execute(_SEQUENCES)]
