"""What the same server does with a plain charge of nine statements in two transactions.

The two SQL files never change with the service, so that the ratio stays comparable over time.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from payment_service import embedded
from scripts.databases import client_variables
from tests.bench.processes import Meter
from tests.bench.world import Servers

HERE = Path(__file__).parent
CLIENTS, THREADS = 16, 2
DATABASE = "yardstick"


@dataclass(frozen=True)
class Wal:
    """Bytes of WAL, and how many pages went into it whole, as each does when it is changed for the
    first time after a checkpoint."""

    size: float
    pages: float


@dataclass(frozen=True)
class Round:
    """`aborted` clients met a random trip twice, which ends them for the rest of the round.

    `cpu_us` is what PostgreSQL and pgbench spent on a charge, `postgres_us` what PostgreSQL did.
    """

    rate: float
    aborted: int
    cpu_us: float
    postgres_us: float
    wal: Wal


def prepare(servers: Servers) -> None:
    """Makes the database."""
    servers.query("postgres", f"CREATE DATABASE {DATABASE} OWNER payments")


def measure(servers: Servers, seconds: float) -> Round:
    """One round on fresh tables: the fewer rows, the rarer is the same random trip twice."""
    program(servers, DATABASE, "psql", "-qX", "-f", str(HERE / "classic-schema.sql"))
    return pgbench(servers, DATABASE, HERE / "classic-charge.sql", "simple", seconds)


def pgbench(servers: Servers, database: str, script: Path, mode: str, seconds: float) -> Round:
    """Runs the script by 16 clients for that long."""
    meter = Meter({"postgres": servers.postgres.process.pid})
    wal = written(servers)
    meter.start()
    done = program(
        servers,
        database,
        *("pgbench", "-n", "-M", mode, "-f", str(script), "-c", str(CLIENTS), "-j", str(THREADS)),
        *("-T", str(max(1, round(seconds)))),
        timeout=seconds + 300,
    )
    spent = meter.seconds()
    rate = re.search(r"tps = ([0-9.]+)", done.stdout)
    count = re.search(r"actually processed: (\d+)", done.stdout)
    if rate is None or count is None:
        raise RuntimeError(f"pgbench failed: {done.stderr[-2000:]}")
    aborted = len(re.findall(r"client \d+ (?:script \d+ )?aborted", done.stderr))
    charges = max(1, int(count[1]))
    postgres_us = 1e6 * spent["postgres"] / charges
    cpu_us = postgres_us + 1e6 * spent["load"] / charges
    return Round(float(rate[1]), aborted, cpu_us, postgres_us, per_charge(servers, wal, charges))


def written(servers: Servers) -> Wal:
    """What PostgreSQL has written to its WAL so far."""
    [(size, pages)] = servers.query(
        "postgres", "SELECT pg_current_wal_lsn() - '0/0', wal_fpi FROM pg_stat_wal"
    )
    return Wal(float(size), float(pages))


def per_charge(servers: Servers, before: Wal, charges: int) -> Wal:
    """What it has written since then for each of so many charges."""
    now = written(servers)
    return Wal((now.size - before.size) / charges, (now.pages - before.pages) / charges)


def program(
    servers: Servers, database: str, name: str, *args: str, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Runs one of PostgreSQL's own programs on that database."""
    url = servers.url(database).render_as_string(hide_password=False)
    return subprocess.run(
        [str(embedded.bin_dir() / name), *args],
        env={**os.environ, **client_variables(url)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
