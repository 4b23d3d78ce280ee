"""Cash charges beside the yardstick, in alternating rounds, and what each costs in CPU time."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import yardstick
from tests.bench.load import Load, wrk
from tests.bench.processes import Meter
from tests.bench.world import Servers
from tests.running_service import Service

CONNECTIONS = (16, 64)
ROUNDS = 3
# Names the orders and keys of one run of wrk apart from those of all others on this database.
_bases = itertools.count(1)


@dataclass
class Round:
    """One run of wrk: what it saw, where the CPU time went, how the workers shared the work."""

    load: Load
    cpu: dict[str, float]
    spread: list[float]
    statuses: dict[str, int]
    wal: yardstick.Wal


@dataclass
class Charges:
    """All rounds. `yardstick[n]` ran right before `rounds[connections][n]`."""

    yardstick: list[yardstick.Round] = field(default_factory=list)
    rounds: dict[int, list[Round]] = field(default_factory=dict)

    def ratio(self, connections: int) -> float:
        """Median over the rounds of charges to the yardstick of the same round."""
        pairs = zip(self.rounds[connections], self.yardstick, strict=True)
        return median(ours.load.rate / classic.rate for ours, classic in pairs)

    def yardstick_cpu_us(self) -> float:
        """Median CPU time of the yardstick's charge."""
        return median(one.cpu_us for one in self.yardstick)

    def shown(self) -> dict[str, Any]:
        """The round as the report shows it."""
        return {
            "yardstick_per_second": median(one.rate for one in self.yardstick),
            "yardstick_rounds": [round(one.rate) for one in self.yardstick],
            "yardstick_cpu_us": self.yardstick_cpu_us(),
            "yardstick_aborted_clients": sum(one.aborted for one in self.yardstick),
            **{f"charges_{count}": self._of(count) for count in self.rounds},
        }

    def _of(self, connections: int) -> dict[str, Any]:
        rounds = self.rounds[connections]
        statuses: Counter[str] = Counter()
        for one in rounds:
            statuses.update(one.statuses)
        return {
            "ratio": self.ratio(connections),
            "ratio_by_cpu": self.yardstick_cpu_us() / median(_cpu_us(one) for one in rounds),
            "per_second": median(one.load.rate for one in rounds),
            "rounds": [round(one.load.rate) for one in rounds],
            "p50_ms": median(one.load.p50_ms for one in rounds),
            "p99_ms": median(one.load.p99_ms for one in rounds),
            "statuses": dict(statuses),
            "not_2xx": sum(one.load.not_2xx for one in rounds),
            "socket_errors": sum(one.load.socket_errors for one in rounds),
            "busiest_worker_share": max(max(one.spread, default=0.0) for one in rounds),
            "spread": [[round(share, 2) for share in one.spread] for one in rounds],
            "cpu_us_per_charge": _per_charge(rounds),
            "wal_bytes_per_charge": median(one.wal.size for one in rounds),
            "wal_whole_pages_per_charge": median(one.wal.pages for one in rounds),
        }


def measure(servers: Servers, service: Service, seconds: float) -> Charges:
    """Yardstick, 16 connections, 64 connections, and again."""
    found = Charges(rounds={count: [] for count in CONNECTIONS})
    for count in CONNECTIONS:  # warm: connections, prepared statements, first pages
        wrk(service.url, "charge.lua", str(next(_bases)), connections=count, seconds=1)
    for _ in range(ROUNDS):
        found.yardstick.append(yardstick.measure(servers, seconds))
        for count in CONNECTIONS:
            found.rounds[count].append(one_round(servers, service, count, seconds))
    return found


def one_round(
    servers: Servers,
    service: Service,
    connections: int,
    seconds: float,
    tokens: Path | None = None,
) -> Round:
    """One run of wrk, watched. `tokens` is a file of tokens that the charges show,
    one a line."""
    meter = Meter(parts(servers, service), service.directory / "metrics")
    meter.start()
    args = [str(next(_bases)), *([str(tokens)] if tokens else [])]
    before = yardstick.written(servers)
    load = wrk(service.url, "charge.lua", *args, connections=connections, seconds=seconds)
    wal = yardstick.per_charge(servers, before, load.requests)
    return Round(load, meter.seconds(), meter.spread(), meter.statuses(), wal)


def parts(servers: Servers, service: Service) -> dict[str, int]:
    """The tops of the process trees that serve a request."""
    assert service.web is not None
    return {
        "gunicorn": service.web.pid,
        "postgres": servers.postgres.process.pid,
        "redis": servers.redis.process.pid,
    }


def _cpu_us(one: Round) -> float:
    """All CPU time of a charge, wrk's too."""
    spent = sum(seconds for name, seconds in one.cpu.items() if name != "machine")
    return 1e6 * spent / one.load.requests


def _per_charge(rounds: list[Round]) -> dict[str, int]:
    """CPU microseconds by part. `others` is what else ran on the machine meanwhile."""
    names = [name for name in rounds[0].cpu if name != "machine"]
    spent = {
        name: round(median(1e6 * one.cpu[name] / one.load.requests for one in rounds))
        for name in names
    }
    everything = median(1e6 * one.cpu["machine"] / one.load.requests for one in rounds)
    return {**spent, "others": max(0, round(everything - sum(spent.values())))}
