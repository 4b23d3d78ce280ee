"""What `flask worker` does a second, one and two of them, and what charges lose beside it.

python -m tests.bench.background: this part of `make bench` alone. BENCH_BACKLOG (60000) is how many
events a backlog has.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import charges, filling, report, world
from tests.bench.load import require_wrk
from tests.bench.pace import Pace, paced, until
from tests.bench.processes import memory_ns
from tests.bench.report import Report
from tests.bench.sinks import a_broker, a_listener, queued
from tests.bench.world import Servers
from tests.fixtures import a_key
from tests.rabbitmq_server import Broker
from tests.running_service import Service
from tests.sandbox_server import running_sandbox

WORKERS = (1, 2)
DATABASE, STUCK = "worker", "stuck"
HTTP_AIM, RABBITMQ_AIM, BACKLOG_AIM_MINUTES, LOSS_AIM = 600, 3_000, 10, 0.2
HOUR = 3600 * 300
"""Events of an hour at 300 charges a second; a charge makes one."""

SLOW_SECONDS = 0.02
"""A sister service that does something before it answers."""

LOOK_UPS, HOLDS, DELTAS = 2_000, 100, 500_000
ROUNDS = 3


def run(servers: Servers, found: Report, seconds: float, backlog: int) -> None:
    """Measures all of it, and adds it to the report."""
    servers.migrated(DATABASE)
    filling.fill(servers, DATABASE, backlog)
    filling.tell(servers, DATABASE, backlog)
    shown: dict[str, Any] = {"backlog": backlog}
    found.sections["worker"] = shown
    with contextlib.ExitStack() as stack:
        quick, slow = (stack.enter_context(a_listener(wait)) for wait in (0.0, SLOW_SECONDS))
        broker = stack.enter_context(a_broker(servers.directory / "rabbitmq"))
        for count in WORKERS:
            for name, url in (("at once", quick), (f"after {1000 * SLOW_SECONDS:.0f} ms", slow)):
                rows = min(backlog, 20_000 if url == quick else 8_000)
                env = {"ORDER_SERVICE_URL": url}
                pace = _delivered(servers, count, "order", rows, env)
                shown[f"http {name}, {count}"] = pace.shown()
                what = f"events/s to a service that answers {name}, {_workers(count)}"
                _add(found, what, pace, HTTP_AIM)
            if broker:
                shown[f"rabbitmq, {count}"] = _to_rabbitmq(servers, found, count, backlog, broker)
        if broker is None:
            missing = "not measured: no rabbitmq-server is installed here"
            shown["rabbitmq"] = missing
            found.add("events/s to RabbitMQ, and the backlog of an hour", missing)
        sinks = {"ORDER_SERVICE_URL": quick} | ({"RABBITMQ_URL": broker.url} if broker else {})
        shown["beside"] = _beside(servers, found, seconds, backlog, sinks)
    shown |= _others(servers, found)


def _to_rabbitmq(
    servers: Servers, found: Report, count: int, backlog: int, broker: Broker
) -> dict[str, Any]:
    before = queued(broker)
    pace = _delivered(servers, count, "rabbitmq", backlog, {"RABBITMQ_URL": broker.url})
    arrived = queued(broker) - before
    if arrived < backlog:
        raise RuntimeError(f"{backlog} events are marked as delivered, {arrived} lie in the queue")
    _add(found, f"events/s to RabbitMQ, {_workers(count)}", pace, RABBITMQ_AIM)
    minutes = HOUR / pace.rate / 60
    found.add(
        f"backlog of an hour at 300 charges/s to RabbitMQ, {_workers(count)}",
        f"{minutes:.1f} min, reckoned from {backlog:,} events in {pace.seconds:.1f} s",
        f"<= {BACKLOG_AIM_MINUTES} min",
        minutes <= BACKLOG_AIM_MINUTES,
    )
    return {**pace.shown(), "arrived": arrived, "hour_in_minutes": minutes}


def _delivered(servers: Servers, count: int, sink: str, rows: int, env: Mapping[str, str]) -> Pace:
    total = f"SELECT coalesce(sum(delivered), 0) FROM sink_totals WHERE sink = '{sink}'"
    with _running(servers, DATABASE, count, env) as service:
        before = int(servers.query(DATABASE, total)[0][0])
        filling.owe(servers, DATABASE, [sink], rows)
        pace = paced(
            servers, service, rows, lambda: int(servers.query(DATABASE, total)[0][0]) - before
        )
    tries = servers.query(DATABASE, "SELECT sum(attempts) FROM deliveries")[0][0]
    # A machine that stands still for a while makes the worker send a few of them again.
    if not rows <= tries <= 1.02 * rows:
        raise RuntimeError(f"{rows} events were sent {tries} times")
    return pace


def _beside(
    servers: Servers, found: Report, seconds: float, backlog: int, sinks: Mapping[str, str]
) -> dict[str, Any]:
    """Charges with an idle worker and with one that has more to deliver than it can, in turn."""
    open_ones = "SELECT count(*) FROM deliveries WHERE done_at IS NULL"
    idle, busy, delivered = [], [], []
    # The service itself owes nobody anything: only the worker has sinks.
    with (
        world.started(servers.service("web", DATABASE), worker=False) as web,
        _running(servers, DATABASE, 1, sinks),
    ):
        charges.one_round(servers, web, charges.CONNECTIONS[0], 1)  # warm
        for _ in range(ROUNDS):
            servers.query(DATABASE, "TRUNCATE deliveries")
            idle.append(charges.one_round(servers, web, charges.CONNECTIONS[0], seconds))
            filling.owe(servers, DATABASE, _names(sinks), backlog)
            until(lambda: servers.query(DATABASE, open_ones)[0][0] < len(sinks) * backlog)
            before = int(servers.query(DATABASE, open_ones)[0][0])
            busy.append(charges.one_round(servers, web, charges.CONNECTIONS[0], seconds))
            delivered.append(before - int(servers.query(DATABASE, open_ones)[0][0]))
            ended = not servers.query(DATABASE, open_ones)[0][0]
            if ended:
                raise RuntimeError(f"a backlog of {backlog} ended within {seconds} s: raise it")
    pairs = zip(idle, busy, strict=True)
    loss = median(1 - two.load.rate / one.load.rate for one, two in pairs)
    what = "charges, 16 connections, lost beside a relay at full speed"
    aim = f"< {100 * LOSS_AIM:.0f} %"
    found.add(what, f"{100 * loss:.0f} %", aim, loss < LOSS_AIM)
    rates = {
        "charges_beside_idle": [round(one.load.rate) for one in idle],
        "charges_beside_busy": [round(one.load.rate) for one in busy],
        "delivered_per_second": [round(many / seconds) for many in delivered],
    }
    found.add("  charges/s without, with, and events/s meanwhile", str(list(rates.values())))
    return {"loss": loss, "sinks": _names(sinks), **rates}


def _others(servers: Servers, found: Report) -> dict[str, Any]:
    """Look-ups, expiries and folds."""
    shown: dict[str, Any] = {}
    servers.migrated(STUCK)
    looked = "SELECT count(*) FROM transactions WHERE lookups > 0"
    held = "SELECT count(*) FROM payments WHERE status = 'AUTHORIZED'"
    unfolded = "SELECT count(*) FROM total_deltas"

    def count_of(query: str) -> int:
        return int(servers.query(STUCK, query)[0][0])

    with running_sandbox(servers.directory / "stuck-sandbox") as sandbox:
        # Each is looked up once: the next look-up comes long after.
        env = {"SANDBOX_PROVIDER_URL": sandbox.url, "RESOLUTION_FIRST_LOOKUP_SECONDS": "3000"}
        for count in WORKERS:
            _hold(servers, env)
            with _running(servers, STUCK, count, env) as service:
                servers.query(STUCK, _EXPIRE)
                expiries = paced(servers, service, HOLDS, lambda: HOLDS - count_of(held))
                filling.stick(servers, STUCK, LOOK_UPS)
                look_ups = paced(servers, service, LOOK_UPS, lambda: count_of(looked))
                filling.change(servers, STUCK, DELTAS)
                folds = paced(
                    servers, service, DELTAS, lambda: DELTAS - count_of(unfolded), in_one=True
                )
            for name, pace in (("look-ups", look_ups), ("expiries", expiries), ("folds", folds)):
                shown[f"{name}, {count}"] = pace.shown()
                _add(found, f"{name}/s, {_workers(count)}", pace)
    return shown


_EXPIRE = "UPDATE payments SET expires_at = now() WHERE status = 'AUTHORIZED'"


def _hold(servers: Servers, env: Mapping[str, str]) -> None:
    """Holds at the sandbox, made by the service."""
    with world.started(servers.service("holds", STUCK, **env), worker=False) as web:
        for number in range(HOLDS):
            body = {"order_id": time.time_ns() + number, "amount": "10.50", "method": "CARD"}
            answer = web.post(
                "/v1/payments/charge",
                body | {"capture": False},
                headers={"Idempotency-Key": a_key()},
            )
            if answer.status_code != 201:
                raise RuntimeError(f"a hold was answered {answer.status_code}: {answer.text}")


@contextlib.contextmanager
def _running(
    servers: Servers, database: str, count: int, env: Mapping[str, str]
) -> Iterator[Service]:
    """So many workers, their beats begun."""
    service = servers.service(f"workers-{count}", database, **env)
    service.log.unlink(missing_ok=True)
    try:
        for _ in range(count):
            service.start_worker()
        until(lambda: service.log.read_text().count("worker_started") == count)
        yield service
    finally:
        service.close()


def _names(sinks: Mapping[str, str]) -> list[str]:
    return [name.partition("_")[0].lower() for name in sinks]


def _add(found: Report, what: str, pace: Pace, aim: int | None = None) -> None:
    cpu = ", ".join(f"{name} {us}" for name, us in pace.cpu_us.items())
    met = None if aim is None else pace.rate >= aim
    figure = f"{pace.rate:,.0f} ({pace.done:,} in {pace.seconds:.1f} s; CPU us of each: {cpu})"
    found.add(what, figure, "" if aim is None else f">= {aim:,}", met)


def _workers(count: int) -> str:
    return "one worker" if count == 1 else f"{count} workers"


def main() -> None:
    require_wrk()
    seconds = float(os.environ.get("BENCH_SECONDS") or 15)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        world.servers(Path(directory)) as servers,
    ):
        found = Report(report.machine(seconds, 0, servers.settings()))
        before = memory_ns(20_000)
        run(servers, found, seconds, backlog_of(os.environ))
    found.add("a look into one of 20,000 objects, ns", f"{before:.0f}, {memory_ns(20_000):.0f}")
    print(found.table())


def backlog_of(environment: Mapping[str, str]) -> int:
    """BENCH_BACKLOG."""
    return int(environment.get("BENCH_BACKLOG") or 60_000)


if __name__ == "__main__":
    main()
