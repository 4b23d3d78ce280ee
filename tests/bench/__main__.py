"""`make bench`: measures the service on this machine, beside what its database can do.

BENCH_SECONDS (15) is the length of a round, BENCH_ROWS (5000000) the big size, BENCH_BACKLOG
(60000) how many events wait for the worker, VAR_DIR (var) where bench/report.json is written.
Everything that is started listens on 127.0.0.1 or on a socket of its own and ends with the run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from tests.bench import (
    background,
    charges,
    filling,
    footprint,
    openmodel,
    reads,
    report,
    statements,
    world,
    yardstick,
)
from tests.bench.bare import Bare
from tests.bench.load import Missing, require_wrk
from tests.bench.processes import memory_ns
from tests.bench.report import Report
from tests.bench.world import Servers
from tests.sandbox_server import running_sandbox

SMALL_ROWS = 10_000
RATIO_AIM = 0.45
SIZES_AIM = 1.2
MEMORY = [1_000, 20_000]


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
        measure_open_model(servers, found, seconds)
        measure_sizes(servers, found, rows, seconds)
        measure_import(servers, found, rows)
        say("the worker: deliveries, look-ups, expiries, folds")
        background.run(servers, found, seconds, background.backlog_of(os.environ))
    found.sections["took_seconds"] = round(time.monotonic() - started)
    found.write(var / "report.json")
    print(found.table())
    print(f"{var / 'report.json'}, {found.sections['took_seconds']} s")


def measure_charges(servers: Servers, found: Report, seconds: float) -> None:
    """The yardstick, the service's own statements, and charges."""
    say("charges beside the yardstick")
    yardstick.prepare(servers)
    servers.migrated("charges")
    filling.fill(servers, "charges", SMALL_ROWS)
    with world.started(servers.service("charges", "charges")) as service:
        sent = statements.capture(servers, service, "charges")
        before = [round(memory_ns(objects)) for objects in MEMORY]
        measured = charges.measure(servers, service, seconds)
        after = [round(memory_ns(objects)) for objects in MEMORY]
        plans = statements.explain(servers, "charges", sent)
    script = statements.as_script(sent, servers.directory / "statements.sql")
    own = {
        mode: yardstick.pgbench(servers, "charges", script, mode, seconds)
        for mode in ("simple", "prepared")
    }
    shown = {**measured.shown(), "round_trips": sent.trips, "plans": plans}
    shown["own_statements"] = {mode: asdict(one) for mode, one in own.items()}
    shown["memory_ns"] = {"objects": MEMORY, "before": before, "after": after}
    found.sections["charges"] = shown
    found.add(f"a look into one of {MEMORY} objects, ns", f"before {before}, after {after}")
    found.add("yardstick, charges/s", f"{shown['yardstick_per_second']:,.0f}")
    found.add("yardstick, CPU us per charge", f"{shown['yardstick_cpu_us']:.0f}")
    for mode, one in own.items():
        found.add(f"own statements, {mode}, charges/s", f"{one.rate:,.0f}")
        found.add(
            f"own statements, {mode}, charges/s for each core of PostgreSQL's",
            f"{1e6 / one.postgres_us:,.0f} ({one.postgres_us:.0f} us)",
        )
    for count in charges.CONNECTIONS:
        _add_charges(found, count, shown[f"charges_{count}"])
    found.add("round trips of a charge", f"{len(sent.trips)}: {', '.join(sent.trips)}")


def _add_charges(found: Report, count: int, shown: dict[str, Any]) -> None:
    ratio, cpu = shown["ratio"], shown["cpu_us_per_charge"]
    what = f"charges, {count} connections"
    aim = f">= {RATIO_AIM}"
    found.add(f"{what}, ratio to the yardstick", f"{ratio:.2f}", aim, ratio >= RATIO_AIM)
    found.add(f"{what}, the same by CPU time", f"{shown['ratio_by_cpu']:.2f}")
    found.add(f"{what}, /s", f"{shown['per_second']:,.0f}")
    found.add(f"{what}, p50 and p99", f"{shown['p50_ms']:.0f} ms, {shown['p99_ms']:.0f} ms")
    bad = shown["not_2xx"] + shown["socket_errors"]
    found.add(f"{what}, answers by status", f"{shown['statuses']}", "only 2xx", bad == 0)
    found.add(f"{what}, CPU us per charge", ", ".join(f"{n} {us}" for n, us in cpu.items()))
    found.add(f"{what}, share of each worker", f"{shown['spread']}")
    found.add(
        f"{what}, WAL of a charge",
        f"{shown['wal_bytes_per_charge']:,.0f} bytes, of which"
        f" {shown['wal_whole_pages_per_charge']:.2f} pages whole",
    )


def measure_open_model(servers: Servers, found: Report, seconds: float) -> None:
    """Card charges at a constant rate through the sandbox."""
    say("card charges at a constant rate, with the provider's latency")
    with (
        running_sandbox(servers.directory / "sandbox") as sandbox,
        world.started(
            servers.service("open", "charges", SANDBOX_PROVIDER_URL=sandbox.url)
        ) as service,
    ):
        shown = openmodel.measure(servers, service, sandbox, seconds)
    found.sections["open_model"] = shown
    highest, aim = shown["highest"], openmodel.AIM_RATE
    what = "card charges/s at a constant rate, p99 added < 50 ms"
    found.add(what, f"{highest}", f">= {aim}", highest >= aim)
    for tried in sorted(shown["tried"], key=lambda one: one["rate"]):
        found.add(
            f"  at {tried['rate']}/s",
            f"added p50 {tried['added_p50_ms']} ms, p99 {tried['added_p99_ms']} ms; generator late"
            f" {tried['generator_late_p99_ms']} ms; injected {tried['injected']},"
            f" errors {tried['errors'] or 'none'}",
        )


def measure_sizes(servers: Servers, found: Report, rows: int, seconds: float) -> None:
    """Reads, /metrics, memory and start-up at two sizes."""
    say(f"filling {rows:,} payments")
    for database, size in (("small", SMALL_ROWS), ("big", rows)):
        servers.migrated(database)
        filling.fill(servers, database, size)
    say("reads at both sizes")
    with contextlib.ExitStack() as stack:
        services = {name: servers.service(name, name) for name in ("small", "big")}
        bare = stack.enter_context(world.started(Bare(servers.directory / "bare"), worker=False))
        seconds_to_ready = {}
        for name, service in services.items():
            stack.callback(service.close)
            seconds_to_ready[name] = footprint.start_up(service)
            service.start_worker()
        small = reads.Target(services["small"], "small", SMALL_ROWS)
        big = reads.Target(services["big"], "big", rows)
        shown = reads.measure(servers, small, big, bare, max(1.0, seconds / 3))
        scrapes = {name: footprint.scrape(service) for name, service in services.items()}
        memory = footprint.memory(services["big"])
    found.sections |= {"reads": shown, "metrics_scrape": scrapes, "memory": memory}
    found.sections["seconds_to_ready"] = seconds_to_ready
    for kind, read in shown.items():
        if isinstance(read, dict):
            _add_read(found, kind, read)
    times = ", ".join(f"{scrape['median_ms']:.0f} ms" for scrape in scrapes.values())
    found.add(f"/metrics at {SMALL_ROWS:,} and {rows:,}", times)
    found.add("memory of each worker, RSS and USS", f"{memory['rss_mb']}, {memory['uss_mb']} MB")
    ready = ", ".join(f"{one:.1f} s" for one in seconds_to_ready.values())
    found.add(f"start-up to ready at {SMALL_ROWS:,} and {rows:,}", ready)


def _add_read(found: Report, kind: str, read: dict[str, Any]) -> None:
    ratio = read["ratio_of_sizes"]
    small, big = read["small_per_second"], read["big_per_second"]
    met = ratio < SIZES_AIM and read["not_2xx"] == 0
    found.add(f"{kind}, small to big", f"{ratio:.2f}", f"< {SIZES_AIM}", met)
    found.add(
        f"{kind}, /s",
        f"{small:,.0f} small, {big:,.0f} big: {read['ratio_to_bare']:.2f} of a bare view's"
        f" {read['bare_per_second']:,.0f}",
    )
    cpu = ", ".join(f"{name} {read[f'{name}_cpu_us']:.0f}" for name in ("small", "big", "bare"))
    found.add(f"{kind}, CPU us per request", cpu)


def measure_import(servers: Servers, found: Report, rows: int) -> None:
    """Our import beside a bare \\copy."""
    say("import")
    shown = footprint.imported(servers, max(footprint.IMPORT_LEAST, rows // footprint.IMPORT_SHARE))
    found.sections["import"] = shown
    found.add(
        f"import of {shown['rows']:,} rows, speed beside bare \\copy",
        f"{shown['ratio']:.2f} ({shown['import_seconds']:.1f} s, {shown['copy_seconds']:.1f} s)",
    )


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
