"""Puts a backup in the place of the database, with nobody else connected, and lets the service look
back (`flask recover restored`) before anybody is let in again.

    X                    the database: closed, then renamed to
    X_replaced_<time>    which is kept, and read for what happened since the backup
    X_restoring          the backup; renamed to X when all is done

Whatever goes wrong gives X back as it was. A restore that was killed is given back by the next.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
from psycopg2 import sql
from sqlalchemy.engine import URL

from scripts.postgres import (
    Cursor,
    Failed,
    call,
    connected,
    create_like,
    drop,
    exists,
    maintenance,
    one_line,
    rename,
)

ROOT = Path(__file__).resolve().parents[1]
LEAVING_SECONDS = 2.0
"""For sessions that are on their way out: a program that has just ended is still listed."""
ENDING_SECONDS = 15.0
"""For sessions that were told to end; one in the middle of a statement needs a moment."""
LONGEST_NAME = 63
NAMED = 5
"""Sessions that a refusal names; more are counted."""

# `module.Error: why`, at the end of a traceback; DETAIL and HINT have no small letters.
_ERROR = re.compile(r"[\w.]*[a-z][\w.]*: ")

# A role that is no superuser sees of other roles' sessions only that they are there.
_SESSIONS = """
    SELECT pid, usename, coalesce(nullif(application_name, ''), 'a program without a name'),
           coalesce(host(client_addr), 'this machine')
    FROM pg_stat_activity
    WHERE datname = %s AND usesysid IS NOT NULL AND backend_type IS DISTINCT FROM 'parallel worker'
    ORDER BY backend_start
"""


def restore(file: Path, *, folder: Path, force: bool = False) -> str:
    """Put what `file` holds, a dump that was checked, in the place of the database. Gives the name
    under which the replaced one is kept.

    Refuses while anybody is connected to it; `force` ends them. Nobody gets in until it is over.
    What the look-back can't settle goes to a file in `folder`. Owner becomes the role that
    restores; grants to other roles are not restored. Raises Failed.
    """
    name = os.environ["PGDATABASE"]
    fresh = f"{name}_restoring"
    suffix = f"_replaced_{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    replaced = name[: LONGEST_NAME - len(suffix)] + suffix
    with maintenance() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [fresh])
        if cursor.fetchone() != (True,):
            raise Failed(f"another restore of {name} is at work")
        give_back_what_was_killed(cursor, name, fresh)
        if not exists(cursor, name):
            raise Failed(f"there is no database {name}")
        drop(cursor, fresh)  # of a restore that was killed
        # Before the other has lost its name: it is what tells of a restore that was killed then.
        create_like(cursor, fresh, name)
        try:
            put_aside(cursor, name, replaced, force=force)
            options = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges")
            call("pg_restore", *options, f"--dbname={fresh}", str(file))
            with connected(fresh) as inside:
                inside.execute("ANALYZE")  # a dump brings no statistics: the first plans were bad
            look_back(fresh, replaced, folder)
            rename(cursor, fresh, name)
        except BaseException:
            if not exists(cursor, name):
                rename(cursor, replaced, name)
            drop(cursor, fresh)
            raise
    return replaced


def give_back_what_was_killed(cursor: Cursor, name: str, fresh: str) -> None:
    """A restore that was killed between the two renames left no database of that name."""
    if exists(cursor, name) or not exists(cursor, fresh):
        return
    pattern = name[: LONGEST_NAME - 26].replace("_", r"\_") + r"\_replaced\_%"
    cursor.execute("SELECT max(datname) FROM pg_database WHERE datname LIKE %s", [pattern])
    row = cursor.fetchone()
    if row and row[0]:
        rename(cursor, row[0], name)
        admit(cursor, name, True)
        print(f"{row[0]} is {name} again: an earlier restore was killed", flush=True)


def put_aside(cursor: Cursor, name: str, replaced: str, *, force: bool) -> None:
    """Closes the database, makes sure that nobody is in it, and renames it, open again under the
    other name. Raises Failed with all as it was."""
    admit(cursor, name, False)
    try:
        deadline = time.monotonic() + (ENDING_SECONDS if force else LEAVING_SECONDS)
        while inside := sessions(cursor, name):
            if time.monotonic() > deadline:
                raise Failed(refusal(name, inside, force))
            if force:
                end_sessions(cursor, name)
            time.sleep(0.1)
        rename(cursor, name, replaced)
    except BaseException:
        admit(cursor, name, True)
        raise
    admit(cursor, replaced, True)


def admit(cursor: Cursor, name: str, yes: bool) -> None:
    """Opens the database or closes it, for everyone, superusers too. Its owner may do that."""
    statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    try:
        cursor.execute(statement.format(sql.Identifier(name), sql.Literal(yes)))
    except psycopg2.errors.InsufficientPrivilege as error:
        raise Failed(f"only the owner of {name} can restore it: {one_line(str(error))}") from error


def sessions(cursor: Cursor, name: str) -> list[str]:
    """Who is connected, each as a text that says who."""
    cursor.execute(_SESSIONS, [name])
    return [
        f"{user}, {program}, from {place}, process {pid}"
        for pid, user, program, place in cursor.fetchall()
    ]


def refusal(name: str, inside: list[str], force: bool) -> str:
    named = "; ".join(inside[:NAMED])
    more = f"; and {len(inside) - NAMED} more" if len(inside) > NAMED else ""
    advice = (
        "they did not end: end them by a role that may"
        if force
        else "stop them, or FORCE=1 ends them and keeps them out until the restore is over"
    )
    return f"{len(inside)} connected to {name} ({named}{more}): {advice}"


def end_sessions(cursor: Cursor, name: str) -> None:
    """Ends those that our role may end."""
    cursor.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        " AND usesysid IS NOT NULL AND pg_has_role(usesysid, 'MEMBER')",
        [name],
    )


def look_back(fresh: str, replaced: str, folder: Path) -> None:
    """Lets the service bring back what happened since the backup, in the restored database and
    before anybody else is let in. Raises Failed."""
    restored = tables_of(fresh)
    if restored is None:
        return  # none of ours
    wanted = tables_of(replaced)  # None on a new machine: then those that the service knows
    if wanted != restored:
        flask(fresh, "db", "upgrade", quiet=True)
        if wanted not in (None, tables_of(fresh)):
            raise Failed(
                f"the database's tables are of version {wanted}, the backup's of"
                f" {tables_of(fresh)}: bring the database up to date first (make migrate)"
            )
    flask(fresh, "recover", "restored", "--replaced", replaced, "--folder", str(folder))


def tables_of(database: str) -> str | None:
    """The version of the service's tables; None where there are none."""
    with connected(database) as cursor:
        cursor.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return None
        cursor.execute("SELECT max(version_num) FROM alembic_version")
        row = cursor.fetchone()
        return row[0] if row else None


def flask(database: str, *command: str, quiet: bool = False) -> None:
    """A command of the service, on this database. Raises Failed with what it died of."""
    environ = {**os.environ, "DATABASE_URL": url_of(database), "LOG_LEVEL": "ERROR"}
    environ.pop("DATABASE_URL_FILE", None)
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "payment_service", *command],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it gave no reason"]
        # Not the last line: below its error PostgreSQL shows the row (DETAIL), or points into SQL.
        named = list(filter(_ERROR.match, lines)) or lines
        raise Failed(f"flask {command[0]} {command[1]} failed: {named[-1]}")


def url_of(database: str) -> str:
    """Where the PG variables lead; what else they say (TLS, options), libpq reads there itself."""
    with maintenance() as cursor:
        info = cursor.connection.info
        place = {"host": info.host, "port": str(info.port)}
        url = URL.create(
            "postgresql+psycopg2", info.user, info.password or None, database=database, query=place
        )
    return url.render_as_string(hide_password=False)
