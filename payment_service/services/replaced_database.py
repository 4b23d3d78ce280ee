"""The database that a restore replaced: read, never written."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Table, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from payment_service.config import settings
from payment_service.extensions import db

PAGE = 5000
"""Keys of rows that are compared at once: some hundred kilobytes."""

_NEWEST = text("""
    SELECT payment_id, reference FROM payments ORDER BY payment_id DESC LIMIT 100
""")
_KNOWN = text("SELECT payment_id FROM payments WHERE payment_id = ANY(:ids)")
_SAME = text("""
    SELECT count(*) FROM payments
    JOIN json_to_recordset(CAST(:rows AS json)) AS n(payment_id bigint, reference text)
        USING (payment_id, reference)
""")


@contextmanager
def opened(name: str) -> Iterator[Connection]:
    """A connection to the database of that name on our server, in AUTOCOMMIT. Raises DBAPIError."""
    url = make_url(settings().database_url).set(database=name)
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        connect_args={"options": "-c default_transaction_read_only=on", "connect_timeout": 10},
    )
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def why_unreadable(replaced: Connection) -> str | None:
    """Why the database does not hold what happened after the backup; None if it does.

    On a new machine it is empty, or one that was begun there, without the backup's payments.
    """
    try:
        if replaced.execute(text("SELECT to_regclass('public.payments')")).scalar_one() is None:
            return "it has no payments"
        with db.engine.connect() as connection:
            newest = [dict(row) for row in connection.execute(_NEWEST).mappings()]
        known = replaced.execute(_SAME, {"rows": json.dumps(newest)}).scalar_one()
    except DBAPIError as error:
        return f"it can't be read: {str(error.orig).splitlines()[0]}"
    if newest and not known:
        return "it knows none of the backup's newest payments"
    return None


def known(replaced: Connection, payment_ids: Collection[int]) -> set[int]:
    """Those of the payments that it has."""
    return set(replaced.execute(_KNOWN, {"ids": list(payment_ids)}).scalars())


def rows_of(connection: Connection, table: Table, ids: list[int]) -> str:
    """All rows of these payments as PostgreSQL's own JSON, in which each value keeps its text."""
    order = ", ".join(f'"{column.name}"' for column in table.primary_key)
    query = (
        f"SELECT CAST(coalesce(json_agg(t ORDER BY {order}), '[]') AS text)"  # noqa: S608
        f" FROM {table.name} t WHERE payment_id = ANY(:ids)"
    )
    return str(connection.execute(text(query), {"ids": ids}).scalar_one())


def putting(table: Table, *, over: bool = True) -> Any:
    """The statement that puts such rows in, `over` those of the same key or only beside them."""
    columns = [column for column in table.c if column.computed is None]
    names = ", ".join(f'"{column.name}"' for column in columns)
    key = ", ".join(f'"{column.name}"' for column in table.primary_key)
    fixed = {column.name for column in columns if column.primary_key or column.identity}
    changed = ", ".join(
        f'"{column.name}" = EXCLUDED."{column.name}"'
        for column in columns
        if column.name not in fixed
    )
    then = f"UPDATE SET {changed}" if over else "NOTHING"
    return text(
        f"INSERT INTO {table.name} ({names}) OVERRIDING SYSTEM VALUE"  # noqa: S608
        f" SELECT {names} FROM json_populate_recordset(CAST(NULL AS {table.name}),"
        f" CAST(:rows AS json)) ORDER BY {key} ON CONFLICT ({key}) DO {then}"
    )
