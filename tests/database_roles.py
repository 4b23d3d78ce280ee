"""scripts/roles.sql, as an administrator runs it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

import psycopg2
from psycopg2 import sql
from sqlalchemy.engine import URL

from payment_service import embedded
from tests.sandbox_server import ROOT

SUPERUSER = "postgres"
"""Of an embedded server, with the password of its other role."""
NAMES = {role: f"payment_service_{role}" for role in ("owner", "app", "readonly")}


def as_role(database: URL, name: str) -> str:
    """The database's address for that role, as libpq takes it."""
    return database.set(drivername="postgresql", username=name).render_as_string(
        hide_password=False
    )


def apply(database: URL, name: str = SUPERUSER, names: Mapping[str, str] = NAMES) -> None:
    """psql with the script, by the role of that name."""
    done = subprocess.run(
        [
            *(embedded.bin_dir() / "psql", "--no-psqlrc", "--quiet", as_role(database, name)),
            *(f"--set={role}={called}" for role, called in names.items()),
            f"--file={ROOT / 'scripts/roles.sql'}",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr


def let_in(database: URL, names: Mapping[str, str] = NAMES) -> None:
    """Gives those of the roles that are there the password of the database's address."""
    connection = psycopg2.connect(as_role(database, SUPERUSER))
    try:
        with connection, connection.cursor() as cursor:
            there = "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)"
            cursor.execute(there, [list(names.values())])
            for (name,) in cursor.fetchall():
                change = sql.SQL("ALTER ROLE {} PASSWORD %s").format(sql.Identifier(name))
                cursor.execute(change, [database.password])
    finally:
        connection.close()
