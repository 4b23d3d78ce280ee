"""How long statements take, and how much of the pools is in use.

The statements of charges and reads go through psycopg2's own cursor, and SQLAlchemy's through one
as well: so a cursor that measures sees all of them, and nothing else needs to know.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import psycopg2.extensions
from prometheus_client import Gauge, Histogram
from sqlalchemy import Engine, event
from sqlalchemy.pool import QueuePool

from payment_service.telemetry import metric_files

metric_files.install()

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds. A charge's statement takes about one millisecond, and after ten seconds a lock is given
up."""

QUERY_SECONDS = Histogram(
    "payment_service_database_query_seconds",
    "Time of statements from being sent to their answer; PREPARE and SET too",
    buckets=BUCKETS,
)
IN_USE = Gauge(
    "payment_service_database_pool_connections_in_use",
    "Connections to the database that somebody holds, by pool",
    ["pool"],
    multiprocess_mode="livesum",
)
MOST = Gauge(
    "payment_service_database_pool_connections_max",
    "Connections that may be held at once, by pool (DB_POOL_SIZE of each process)",
    ["pool"],
    multiprocess_mode="livesum",
)


class MeasuredCursor(psycopg2.extensions.cursor):
    """psycopg2's cursor, with each execute in the histogram, what fails too."""

    def execute(self, query: Any, vars: Any = None) -> None:
        started = time.perf_counter()
        try:
            super().execute(query, vars)
        finally:
            QUERY_SECONDS.observe(time.perf_counter() - started)


def watch_pools(engines: Mapping[str | None, Engine], most: int) -> None:
    """Has each engine's pool say how many of its connections are held."""
    for name, engine in engines.items():
        label = name or "ordinary"
        MOST.labels(label).set(most)
        _watch(engine, label)


def _watch(engine: Engine, label: str) -> None:
    held = IN_USE.labels(label)
    held.set(0)

    # Set and not counted: a connection that dies on its way out is given back and never taken.
    def taken(*_: Any) -> None:
        if isinstance(engine.pool, QueuePool):
            held.set(engine.pool.checkedout())

    def given_back(*_: Any) -> None:
        # It is told just before the pool has it back.
        if isinstance(engine.pool, QueuePool):
            held.set(max(0, engine.pool.checkedout() - 1))

    event.listen(engine, "checkout", taken)
    event.listen(engine, "checkin", given_back)
