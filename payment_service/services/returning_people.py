"""Customers, and what is kept of who paid, come back as they stand in the replaced database: so
also who was erased since the backup is erased."""

from __future__ import annotations

import json

from sqlalchemy import Connection, Table, text

from payment_service.extensions import db
from payment_service.models import Customer, Payer
from payment_service.services import comparing_methods
from payment_service.services.replaced_database import PAGE, putting

CUSTOMER = Customer.__table__
PAYER = Payer.__table__

_THERE = text("SELECT to_regclass('public.' || :name) IS NOT NULL")
_SAME = text("""
    SELECT payment_id FROM payments
    JOIN json_to_recordset(CAST(:rows AS json)) AS n(payment_id bigint, reference text)
        USING (payment_id, reference)
""")


def bring_people_back(replaced: Connection) -> int:
    """How many customers the replaced database has."""
    _bring(replaced, PAYER)
    came = _bring(replaced, CUSTOMER)
    with db.engine.begin() as connection:
        if connection.scalar(_THERE, {"name": "provider_customers"}):
            comparing_methods.after_restore(connection)
    return came


def _bring(replaced: Connection, table: Table) -> int:
    """All rows of the table, the oldest first: of a user who was erased and came back, the row that
    is empty comes before the one that has the user now."""
    with db.engine.connect() as connection:
        names = {"name": table.name}
        if not (connection.scalar(_THERE, names) and replaced.scalar(_THERE, names)):
            return 0  # one of them has older tables
    (key,) = (column.name for column in table.primary_key)
    page = text(
        f"SELECT max({key}) AS last, CAST(json_agg(t ORDER BY {key}) AS text) AS rows"  # noqa: S608
        f" FROM (SELECT * FROM {table.name} WHERE {key} > :after ORDER BY {key} LIMIT :page) t"
    )
    came = after = 0
    while True:
        found = replaced.execute(page, {"after": after, "page": PAGE}).one()
        if found.last is None:
            return came
        after = found.last
        with db.engine.begin() as connection:
            rows = _fitting(connection, table, found.rows)
            connection.execute(putting(table), {"rows": rows})
        came += len(json.loads(rows))


def _fitting(connection: Connection, table: Table, rows: str) -> str:
    """Those of the rows whose payment is the same one here."""
    if table is CUSTOMER:
        return rows
    same = set(connection.execute(_SAME, {"rows": rows}).scalars())
    return json.dumps([row for row in json.loads(rows) if row["payment_id"] in same])
