"""`make db-backup` and `make db-restore`, on the database that the PG variables name.

python -m scripts.db_backup save
python -m scripts.db_backup restore FILE [--yes]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
from psycopg2 import sql

BACKUPS = Path(__file__).resolve().parents[1] / "backups"
Cursor = psycopg2.extensions.cursor


class Failed(Exception):
    """Nothing was changed. The message is one plain line."""


def save(folder: Path = BACKUPS) -> Path:
    """Write the database, compressed, to a new file in `folder`."""
    folder.mkdir(mode=0o700, exist_ok=True)  # it holds personal data
    target = folder / f"payments-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.dump"
    part = target.with_suffix(".part")
    part.touch(mode=0o600, exist_ok=False)
    try:
        call("pg_dump", "--format=custom", f"--file={part}")
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def check(file: Path) -> None:
    """Raises Failed unless `file` is a dump, read to its end."""
    if not file.is_file():
        raise Failed(f"there is no file {file}" if str(file) != "." else "say which: FILE=...")
    call("pg_restore", "--file=/dev/null", str(file))


def restore(file: Path) -> None:
    """Put what `file` holds in the place of the database.

    It is restored beside the old database, which is replaced by renaming once that went well and
    dropped last. Owner becomes the role that restores; grants to other roles are not restored.
    """
    check(file)
    name = os.environ["PGDATABASE"]
    fresh, replaced = f"{name}_restoring", f"{name}_replaced"
    with maintenance() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [fresh])
        if cursor.fetchone() != (True,):
            raise Failed(f"another restore of {name} is at work")
        try:
            drop(cursor, fresh)  # of a restore that was killed
            create_like(cursor, fresh, name)
            options = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges")
            call("pg_restore", *options, f"--dbname={fresh}", str(file))
            analyze(fresh)
            drop(cursor, replaced)
            swap(cursor, name, fresh, replaced)
        except BaseException:
            drop(cursor, fresh)
            raise
        drop(cursor, replaced)


def create_like(cursor: Cursor, fresh: str, name: str) -> None:
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


def analyze(name: str) -> None:
    """A dump brings no statistics, and without them the first plans are bad."""
    with connected(name) as cursor:
        cursor.execute("ANALYZE")


def swap(cursor: Cursor, name: str, fresh: str, replaced: str) -> None:
    """Rename both in one transaction. The running service's sessions are ended while it waits."""
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    first = rename.format(sql.Identifier(name), sql.Identifier(replaced))
    second = rename.format(sql.Identifier(fresh), sql.Identifier(name))
    done = threading.Event()
    # The rename lets nobody in and waits some seconds for those that are: they are told meanwhile.
    ending = threading.Thread(target=end_sessions, args=[name, done], daemon=True)
    ending.start()
    try:
        cursor.execute(sql.SQL("BEGIN; {}; {}; COMMIT").format(first, second))
    except psycopg2.Error as error:
        cursor.execute("ROLLBACK")
        raise Failed(f"{name} can't be replaced: {one_line(str(error))}") from error
    finally:
        done.set()
        ending.join()


def end_sessions(name: str, done: threading.Event) -> None:
    with maintenance() as cursor:
        while not done.wait(0.1):
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                " AND backend_type = 'client backend' AND pg_has_role(usesysid, 'MEMBER')",
                [name],
            )


def drop(cursor: Cursor, name: str) -> None:
    cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def connected(database: str) -> Iterator[Cursor]:
    try:
        connection = psycopg2.connect(dbname=database, connect_timeout=10)
    except psycopg2.OperationalError as error:
        raise Failed(one_line(str(error))) from error
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


@contextlib.contextmanager
def maintenance() -> Iterator[Cursor]:
    """A session beside the database, which can't be renamed from within."""
    with connected("template1" if os.environ["PGDATABASE"] == "postgres" else "postgres") as cursor:
        yield cursor


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
    with connected(os.environ["PGDATABASE"]) as cursor:
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
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "")


def confirmed(file: Path) -> bool:
    name = os.environ["PGDATABASE"]
    print(f"Replace database {name} by {file}? What was written since is lost. [y/N] ", end="")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="db-backup")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("save")
    restoring = verbs.add_parser("restore")
    restoring.add_argument("file", type=Path)
    restoring.add_argument("--yes", action="store_true")
    options = parser.parse_args(arguments)
    try:
        if options.verb == "save":
            print(f"wrote {save()}")
            return 0
        check(options.file)
        if not options.yes and not confirmed(options.file):
            raise Failed("nothing was changed")
        restore(options.file)
        print(f"restored {options.file}")
    except (Failed, psycopg2.Error, OSError) as error:
        print(f"db-{options.verb}: {one_line(str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
