"""`make bench`: measures the service on this machine, beside what its database can do.

BENCH_SECONDS (15) is the length of a round, BENCH_ROWS (5000000) the big size, VAR_DIR (var)
where bench/report.json is written. Everything that is started listens on 127.0.0.1 or on a
socket of its own and ends with the run.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from tests.bench import charges, report, statements, world, yardstick
from tests.bench.load import Missing, require_wrk
from tests.bench.report import Report
from tests.bench.world import Servers

SMALL_ROWS = 10_000
RATIO_AIM = 0.45


def main() -> None:
    signal.signal(signal.SIGTERM, _stop)
    require_wrk()
    seconds = float(os.environ.get("BENCH_SECONDS") or 15)
    rows = int(os.environ.get("BENCH_ROWS") or 5_000_000)
    var = Path(os.environ.get("VAR_DIR") or "var").absolute() / "bench"
    var.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    # The sockets' paths must be short, and VAR_DIR may be anywhere.
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=_roomy(var)) as directory,
        world.servers(Path(directory)) as servers,
    ):
        found = Report(report.machine(seconds, rows, servers.settings()))
        say(f"PostgreSQL: {found.machine['postgres']}")
        say(f"service: {found.machine['service']}, events on, no sink on, one flask worker")
        measure_charges(servers, found, seconds)
    found.sections["took_seconds"] = round(time.monotonic() - started)
    found.write(var / "report.json")
    print(found.table())
    print(f"{var / 'report.json'}, {found.sections['took_seconds']} s")


def measure_charges(servers: Servers, found: Report, seconds: float) -> None:
    """The yardstick, the service's own statements, and charges."""
    say("charges beside the yardstick")
    yardstick.prepare(servers)
    servers.migrated("charges")
    with world.started(servers.service("charges", "charges")) as service:
        sent = statements.capture(servers, service, "charges")
        measured = charges.measure(servers, service, seconds)
        plans = statements.explain(servers, "charges", sent)
    script = statements.as_script(sent, servers.directory / "statements.sql")
    own = {
        mode: yardstick.pgbench(servers, "charges", script, mode, seconds).rate
        for mode in ("simple", "prepared")
    }
    shown = {**measured.shown(), "own_statements": own, "round_trips": sent.trips, "plans": plans}
    found.sections["charges"] = shown
    found.add("yardstick, charges/s", f"{shown['yardstick_per_second']:,.0f}")
    for mode, rate in own.items():
        found.add(f"own statements, {mode}, charges/s", f"{rate:,.0f}")
    for count in charges.CONNECTIONS:
        _add_charges(found, count, shown[f"charges_{count}"])
    found.add("round trips of a charge", f"{len(sent.trips)}: {', '.join(sent.trips)}")


def _add_charges(found: Report, count: int, shown: dict) -> None:
    ratio, cpu = shown["ratio"], shown["cpu_us_per_charge"]
    what = f"charges, {count} connections"
    aim = f">= {RATIO_AIM}"
    found.add(f"{what}, ratio to the yardstick", f"{ratio:.2f}", aim, ratio >= RATIO_AIM)
    found.add(f"{what}, /s", f"{shown['per_second']:,.0f}")
    found.add(f"{what}, p50 and p99", f"{shown['p50_ms']:.0f} ms, {shown['p99_ms']:.0f} ms")
    bad = shown["not_2xx"] + shown["socket_errors"]
    found.add(f"{what}, answers by status", f"{shown['statuses']}", "only 2xx", bad == 0)
    found.add(f"{what}, CPU us per charge", ", ".join(f"{n} {us}" for n, us in cpu.items()))
    found.add(f"{what}, share of each worker", f"{shown['spread']}")


def _roomy(var: Path) -> str | None:
    """Where the tables go: the default place for such, unless VAR_DIR's disk has more room."""
    usual = Path(tempfile.gettempdir())
    free = {place: shutil.disk_usage(place).free for place in (usual, var)}
    return str(usual if free[usual] >= free[var] else var)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def say(line: str) -> None:
    print(f"bench: {line}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except Missing as error:
        sys.exit(f"bench: {error}")
