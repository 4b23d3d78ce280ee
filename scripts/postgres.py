"""PostgreSQL as db_backup and db_restore use it: sessions beside the database, and its programs.

Both work on the database that the PG variables name.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import psycopg2
from psycopg2 import sql

Cursor = psycopg2.extensions.cursor


class Failed(Exception):
    """Nothing was changed. The message is one plain line."""


@contextlib.contextmanager
def connected(database: str) -> Iterator[Cursor]:
    """A session in AUTOCOMMIT. Raises Failed."""
    try:
        connection = psycopg2.connect(dbname=database, connect_timeout=10)
    except psycopg2.OperationalError as error:
        raise Failed(one_line(str(error))) from error
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            _go_past_poolers(connection.info.backend_pid, cursor)
            yield cursor
    finally:
        connection.close()


def _go_past_poolers(told: int, cursor: Cursor) -> None:
    """pg_dump sets an empty search_path, which in transaction mode is left on a connection that the
    service gets: it finds no table then. A pooler makes up the number that it has `told`."""
    cursor.execute("SELECT pg_backend_pid()")
    if cursor.fetchone() != (told,):
        raise Failed("this is a pooler: backups and restores need the database's own address")


@contextlib.contextmanager
def maintenance() -> Iterator[Cursor]:
    """A session beside the database, which can't be renamed from within."""
    with connected("template1" if os.environ["PGDATABASE"] == "postgres" else "postgres") as cursor:
        yield cursor


def exists(cursor: Cursor, name: str) -> bool:
    """Whether there is a database of that name."""
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
    return cursor.fetchone() is not None


def create_like(cursor: Cursor, fresh: str, name: str) -> None:
    """An empty database with the encoding and the collation of another. Raises Failed."""
    cursor.execute(
        "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database"
        " WHERE datname = %s",
        [name],
    )
    row = cursor.fetchone()
    if row is None:
        raise Failed(f"there is no database {name}")
    create = "CREATE DATABASE {} TEMPLATE template0 ENCODING %s LC_COLLATE %s LC_CTYPE %s"
    cursor.execute(sql.SQL(create).format(sql.Identifier(fresh)), row)


def rename(cursor: Cursor, name: str, to: str) -> None:
    """PostgreSQL waits some seconds for sessions that are about to go. Raises Failed after."""
    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    try:
        cursor.execute(statement.format(sql.Identifier(name), sql.Identifier(to)))
    except psycopg2.errors.ObjectInUse as error:
        raise Failed(f"{name} can't be renamed: {one_line(str(error))}") from error


def drop(cursor: Cursor, name: str) -> None:
    cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def call(program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs. Raises Failed with its first complaint."""
    command = [find(program), *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failed(one_line(done.stderr) or f"{program} failed")


def find(program: str) -> str:
    """The one on PATH that is as old as the server or else as little newer as can be.

    An older one can't read the server, a newer one writes settings that an old server refuses.
    """
    with maintenance() as cursor:
        server = cursor.connection.server_version // 10000
    found: dict[int, str] = {}
    for folder in os.get_exec_path():
        path = shutil.which(program, path=folder)
        if path is not None:
            answer = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
            if version := re.search(r"\) (\d+)", answer):
                found.setdefault(int(version[1]), path)
    fitting = [major for major in found if major >= server]
    if not fitting:
        raise Failed(f"no {program} of PostgreSQL {server} or newer is on PATH")
    return found[min(fitting)]


def one_line(text: str) -> str:
    """The first line that speaks of an error, else the first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "")
