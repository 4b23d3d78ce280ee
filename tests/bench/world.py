"""The servers of a bench run: PostgreSQL, Redis, gunicorn, worker. All end with the run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from sqlalchemy import URL, make_url

from payment_service import embedded
from scripts.bench_import import fresh_database
from tests.running_service import Service
from tests.sandbox_server import ROOT

# Beside the embedded server's own. fsync, full_page_writes and synchronous_commit are on, as they
# are unless somebody turns them off; they are named so that the report shows it.
POSTGRES = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_wal_size": "8GB",  # no checkpoint by volume within a round
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "effective_io_concurrency": "200",
}
SHOWN = (*POSTGRES, "shared_buffers", "wal_level", "wal_sync_method", "wal_compression", "jit")
SERVICE = {
    # Counted in Redis at each request, but never reached.
    "RATE_LIMIT": "1000000 per second",
    "RATE_LIMIT_SERVICE": "1000000 per second",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "INFO",
    "PYTHONUNBUFFERED": "1",  # as make run and the image set it
}


@dataclass
class Servers:
    """PostgreSQL and Redis of this run."""

    directory: Path
    postgres: embedded.Server
    redis: embedded.Server

    def url(self, database: str, *, superuser: bool = False) -> URL:
        """The database's URL, as SQLAlchemy takes it."""
        url = make_url(self.postgres.url).set(database=database)
        return url.set(username="postgres") if superuser else url

    def query(self, database: str, sql: str) -> list[tuple[Any, ...]]:
        """Runs one statement as the superuser, outside a transaction; its rows, if it has any."""
        shown = self.url(database, superuser=True).set(drivername="postgresql")
        connection = psycopg2.connect(shown.render_as_string(hide_password=False))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def settings(self) -> dict[str, str]:
        """What PostgreSQL runs with."""
        return {name: self.query("postgres", f"SHOW {name}")[0][0] for name in SHOWN}

    def migrated(self, database: str) -> str:
        """A new database with the service's tables; its URL."""
        fresh_database(self.url("postgres"), database)
        return self.url(database).render_as_string(hide_password=False)

    def service(self, name: str, database: str, tree: Path = ROOT, **env: str) -> Service:
        """A service on that database, with all on that production has; not started yet."""
        return Service(
            self.directory / name,
            tree,
            DATABASE_URL=self.url(database).render_as_string(hide_password=False),
            REDIS_URL=self.redis.url,
            **{**SERVICE, **env},
        )


@contextlib.contextmanager
def servers(directory: Path, *, by_tcp: bool = False) -> Iterator[Servers]:
    """Fresh servers in `directory`, stopped at the end; `by_tcp` as start_postgres takes it."""
    buffers = min(2048, psutil.virtual_memory().total // 8 // 2**20)
    options = {**POSTGRES, "shared_buffers": f"{buffers}MB"}
    with contextlib.ExitStack() as stack:
        postgres = embedded.start_postgres(directory / "postgres", settings=options, by_tcp=by_tcp)
        stack.callback(postgres.stop)
        redis = embedded.start_redis(directory / "redis")
        stack.callback(redis.stop)
        yield Servers(directory, postgres, redis)


@contextlib.contextmanager
def started(service: Service, *, worker: bool = True) -> Iterator[Service]:
    """The service with one `flask worker`, killed at the end."""
    try:
        service.start()
        if worker:
            service.start_worker()
        yield service
    finally:
        service.close()
