"""`make db-backup` and `make db-restore`, on the database that the PG variables name; where they
don't, as in a pod, on that of the service's settings.

python -m scripts.db_backup save [--folder FOLDER] [--keep N]
python -m scripts.db_backup restore FILE [--yes] [--force]
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg2

from payment_service import config
from scripts.databases import client_variables
from scripts.db_restore import restore
from scripts.postgres import Failed, call, connected, one_line

NOTE = """
    INSERT INTO worker_beats (beat, host, last_at, counts, error)
    VALUES ('backup', %s, now(), '{}', NULL)
    ON CONFLICT (beat) DO UPDATE
    SET host = EXCLUDED.host, last_at = EXCLUDED.last_at, counts = '{}', error = NULL
"""
"""Who makes backups otherwise says the same by psql: docs/operations/watching.md."""

BACKUPS = Path(__file__).resolve().parents[1] / "backups"


def save(folder: Path = BACKUPS) -> Path:
    """Write the database, compressed, to a new file in `folder`. Raises Failed."""
    with connected(os.environ["PGDATABASE"]):
        pass  # it refuses a pooler, and pg_dump does not
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


def thin_out(keep: int, folder: Path = BACKUPS) -> list[Path]:
    """Removes all backups but the newest `keep`, at least one; their names have their times."""
    found = sorted(folder.glob("payments-*.dump"))
    old = found[: -max(keep, 1)]
    for file in old:
        file.unlink()
    return old


def note() -> None:
    """Write into the database that a backup was done: an alert waits for it. A backup of a database
    that can't be told, such as one that is older than the table, is as good."""
    try:
        with connected(os.environ["PGDATABASE"]) as cursor:
            cursor.execute(NOTE, [socket.gethostname()])
    except (Failed, psycopg2.Error) as error:
        print(f"db-backup: not noted, so the alert for it goes on: {one_line(str(error))}")


def find_database() -> None:
    """Sets the PG variables where nobody did. Raises Failed."""
    if "PGDATABASE" in os.environ:
        return
    found, _ = config.look()  # what is wrong in other settings is no reason to have no backup
    if not found.database_url:
        raise Failed("no database is named: set DATABASE_URL, or DB_HOST and its companions")
    os.environ.update(client_variables(found.database_url))


def check(file: Path) -> None:
    """Raises Failed unless `file` is a dump, read to its end."""
    if not file.is_file():
        raise Failed(f"there is no file {file}" if str(file) != "." else "say which: FILE=...")
    call("pg_restore", "--file=/dev/null", str(file))


def confirmed(file: Path) -> bool:
    name = os.environ["PGDATABASE"]
    print(f"Replace database {name} by {file}? The replaced one is kept. [y/N] ", end="")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="db-backup")
    verbs = parser.add_subparsers(dest="verb", required=True)
    saving = verbs.add_parser("save")
    saving.add_argument("--folder", type=Path, default=BACKUPS, help="where it is written")
    saving.add_argument("--keep", type=int, help="remove all but so many of the newest, afterwards")
    restoring = verbs.add_parser("restore")
    restoring.add_argument("file", type=Path)
    restoring.add_argument("--yes", action="store_true", help="don't ask first")
    restoring.add_argument("--force", action="store_true", help="end who is connected")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all is given back first
    try:
        find_database()
        if options.verb == "save":
            print(f"wrote {save(options.folder)}")
            note()
            for old in thin_out(options.keep, options.folder) if options.keep else []:
                print(f"removed {old}")
            return 0
        check(options.file)
        if not options.yes and not confirmed(options.file):
            raise Failed("nothing was changed")
        kept = restore(options.file, folder=BACKUPS, force=options.force)
        print(f"restored {options.file}")
        print(f"the replaced database is kept as {kept}; when nobody needs it any more:")
        drop = f'DROP DATABASE \\"{kept}\\"'
        print(f"  make db-shell ARGS=\"-c '{drop}'\"")
    except (Failed, psycopg2.Error, OSError) as error:
        print(
            f"db-{options.verb.replace('save', 'backup')}: {one_line(str(error))}", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
