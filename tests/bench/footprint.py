"""What it takes beside the load: import, /metrics, memory, start-up."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from scripts import bench_import
from tests.bench import yardstick
from tests.bench.world import Servers
from tests.running_service import Service

SCRAPES = 10
IMPORT_SHARE, IMPORT_LEAST = 5, 100_000
"""The import is measured with so many times fewer rows than BENCH_ROWS, but not with so few that
its start is most of it."""


def scrape(service: Service) -> dict[str, float]:
    """Milliseconds of a scrape of /metrics, and its size."""
    taken, size = [], 0
    for _ in range(SCRAPES):
        started = time.perf_counter()
        answer = service.get("/metrics")
        taken.append(1000 * (time.perf_counter() - started))
        if answer.status_code != 200:
            raise RuntimeError(f"/metrics was answered {answer.status_code}")
        size = len(answer.content)
    return {"median_ms": median(taken), "most_ms": max(taken), "bytes": size}


def memory(service: Service) -> dict[str, Any]:
    """Megabytes of each gunicorn worker: all that it maps, and what is its own alone."""
    found = [process.memory_full_info() for process in service.web_workers()]
    return {
        "rss_mb": [round(one.rss / 2**20) for one in found],
        "uss_mb": [round(one.uss / 2**20) for one in found],
    }


def start_up(service: Service) -> float:
    """Seconds from nothing to ready, the database being there. Leaves it running."""
    started = time.perf_counter()
    service.start()
    return time.perf_counter() - started


def imported(servers: Servers, rows: int) -> dict[str, Any]:
    """Seconds of our import of a CSV, and of a bare \\copy of what it made."""
    history, copied = servers.directory / "history.csv", servers.directory / "rows.csv"
    bench_import.write_payments(history, rows)
    for database in ("import", "bare_copy"):
        servers.migrated(database)
    ours = bench_import.timed_import(servers.url("import"), history)
    columns = bench_import.COLUMNS
    _psql(servers, "import", f"\\copy (SELECT {columns} FROM payments) TO '{copied}' CSV")
    servers.query("import", "CHECKPOINT")
    bare = _psql(servers, "bare_copy", f"\\copy payments ({columns}) FROM '{copied}' CSV")
    for database in ("import", "bare_copy"):
        servers.query("postgres", f"DROP DATABASE {database} WITH (FORCE)")
    copied.unlink()
    return {"rows": rows, "import_seconds": ours, "copy_seconds": bare, "ratio": bare / ours}


def _psql(servers: Servers, database: str, command: str) -> float:
    started = time.perf_counter()
    options = ("-qX", "-v", "ON_ERROR_STOP=1", "-c", command)
    done = yardstick.program(servers, database, "psql", *options, timeout=1800)
    if done.returncode != 0:
        raise RuntimeError(f"psql failed: {done.stderr[-2000:]}")
    return time.perf_counter() - started
