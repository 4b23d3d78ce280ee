"""Which PostgreSQL and Redis a command works on: those the environment names, else embedded ones
under VAR_DIR.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from payment_service import embedded
from payment_service.config import database_urls
from payment_service.config.reading import is_set

Environment = dict[str, str]
STARTERS: dict[str, Callable[[Path], embedded.Server]] = {
    "postgres": embedded.start_postgres,
    "redis": embedded.start_redis,
}
RUNNING: dict[str, Callable[[Path], embedded.Server | None]] = {
    "postgres": embedded.running_postgres,
    "redis": embedded.running_redis,
}
NAMED_BY = {"postgres": ("DATABASE_URL", "DB_HOST"), "redis": ("REDIS_URL", "REDIS_HOST")}


def wanted(environ: Mapping[str, str]) -> list[str]:
    """The servers that the environment does not name."""
    return [
        server
        for server, names in NAMED_BY.items()
        if not any(is_set(name, environ) for name in names)
    ]


def running(var: Path) -> list[embedded.Server]:
    found = (find(var / name) for name, find in RUNNING.items())
    return [server for server in found if server]


OF_LIBPQ = {
    "PGHOST": "host",
    "PGPORT": "port",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGDATABASE": "dbname",
    "PGSSLMODE": "sslmode",
    "PGSSLROOTCERT": "sslrootcert",
    "PGOPTIONS": "options",
    "PGTARGETSESSIONATTRS": "target_session_attrs",
}


def client_variables(database_url: str) -> Environment:
    """What psql, pg_dump and pg_restore read to reach the database without any argument.

    In the environment, because everyone can read the arguments of a process.
    """
    arguments = database_urls.for_libpq(database_url)
    return {name: str(arguments[key]) for name, key in OF_LIBPQ.items() if arguments.get(key)}


def with_programs(environ: Mapping[str, str]) -> Environment:
    """psql and its like on PATH: the machine's own first, for an embedded server the wheel's."""
    try:
        wheel = str(embedded.bin_dir())
    except embedded.EmbeddedError:  # no development wheels; then the machine must have them
        return dict(environ)
    path = environ.get("PATH", os.defpath)
    first = "postgres" in wanted(environ) or shutil.which("psql", path=path) is None
    return {**environ, "PATH": f"{wheel}:{path}" if first else f"{path}:{wheel}"}
