"""Replays, one payment, its time line, the first page and a page deep inside, at two sizes, beside
a bare view."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from statistics import median
from typing import Any

from payment_service.schemas.lists import Cursor
from tests.bench.load import Load, wrk
from tests.bench.processes import Meter
from tests.bench.world import Servers
from tests.running_service import Service

CONNECTIONS = 16
ROUNDS = 3
KEYS = 300
PATHS = 10_000
PAGE = 20
PREFIX = "/v1/payments"


@dataclass(frozen=True)
class Target:
    """A service on a database of so many payments."""

    service: Service
    database: str
    rows: int


@dataclass(frozen=True)
class Read:
    """One run of wrk. `cpu_us` is what gunicorn and PostgreSQL spent on a request; other work on
    the machine disturbs it less than the rate."""

    load: Load
    cpu_us: float


def measure(
    servers: Servers, small: Target, big: Target, bare: Service, seconds: float
) -> dict[str, Any]:
    """Medians over alternating rounds; `ratio` is small's rate to big's, 1.0 if size is free."""
    asks = {
        target.database: {kind: an_ask(servers, target, kind) for kind in KINDS}
        for target in (small, big)
    }
    found: dict[str, Any] = {}
    constant = servers.directory / "constant.paths"
    constant.write_text("/\n")
    for kind in asks[small.database]:
        rounds: dict[str, list[Read]] = {"small": [], "big": [], "bare": []}
        for _ in range(ROUNDS):
            rounds["bare"].append(one_round(servers, bare, ("paths.lua", constant), seconds))
            for name, target in (("small", small), ("big", big)):
                ask = asks[target.database][kind]
                rounds[name].append(one_round(servers, target.service, ask, seconds))
        found[kind] = _shown(rounds)
    return {"small_rows": small.rows, "big_rows": big.rows, **found}


def _shown(rounds: Mapping[str, list[Read]]) -> dict[str, Any]:
    rates = {name: [one.load.rate for one in found] for name, found in rounds.items()}
    pairs = zip(rates["small"], rates["big"], strict=True)
    beside_bare = zip(rates["big"], rates["bare"], strict=True)
    big = [one.load for one in rounds["big"]]
    answered = [one.load for one in (*rounds["small"], *rounds["big"])]
    return {
        **{f"{name}_per_second": median(found) for name, found in rates.items()},
        **{f"{name}_cpu_us": median(one.cpu_us for one in rounds[name]) for name in rounds},
        "ratio_of_sizes": median(small / big for small, big in pairs),
        "ratio_to_bare": median(ours / bare for ours, bare in beside_bare),
        "big_p50_ms": median(one.p50_ms for one in big),
        "big_p99_ms": median(one.p99_ms for one in big),
        "not_2xx": sum(one.not_2xx + one.socket_errors for one in answered),
    }


def one_round(servers: Servers, service: Service, ask: tuple[str, Path], seconds: float) -> Read:
    """One run of wrk, watched."""
    assert service.web is not None
    script, file = ask
    meter = Meter({"web": service.web.pid, "postgres": servers.postgres.process.pid})
    meter.start()
    load = wrk(service.url, script, str(file), connections=CONNECTIONS, seconds=seconds)
    spent = meter.seconds()
    return Read(load, 1e6 * (spent["web"] + spent["postgres"]) / max(1, load.requests))


def an_ask(servers: Servers, target: Target, kind: str) -> tuple[str, Path]:
    """wrk's script and its file for that kind of read."""
    script, lines = KINDS[kind]
    file = servers.directory / f"{target.database}-{kind.replace(' ', '-')}"
    file.write_text("\n".join(lines(servers, target)) + "\n")
    return script, file


def _charged(servers: Servers, target: Target) -> list[str]:
    """Charges that are made now, to be replayed: a key and its body a line."""
    lines = []
    for number in range(KEYS):
        key = f"replay-{target.database}-{number}"
        body = f'{{"order_id": {10**15 + number}, "amount": "10.50", "method": "CASH"}}'
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        sent = target.service.request("POST", f"{PREFIX}/charge", data=body, headers=headers)
        if sent.status_code != 201:
            raise RuntimeError(f"a charge was answered {sent.status_code}: {sent.text[:500]}")
        lines.append(f"{key} {body}")
    return lines


def _ids(servers: Servers, target: Target) -> list[str]:
    return [f"{PREFIX}/{one}" for one in random.sample(range(1, target.rows + 1), _some(target))]


def _time_lines(servers: Servers, target: Target) -> list[str]:
    return [f"{path}/events" for path in _ids(servers, target)]


def _cursors(servers: Servers, target: Target) -> list[str]:
    """Pages all over the list, but for its last ones, which are shorter."""
    ids = random.sample(range(2 * PAGE, target.rows + 1), _some(target) - 2 * PAGE)
    rows = servers.query(
        target.database,
        "SELECT created_at, payment_id FROM payments"
        f" WHERE payment_id = ANY (ARRAY[{','.join(map(str, ids))}])",
    )
    cursors = [Cursor(created_at.astimezone(UTC), row_id) for created_at, row_id in rows]
    return [f"{PREFIX}?limit={PAGE}&cursor={cursor}" for cursor in cursors]


def _some(target: Target) -> int:
    return min(PATHS, target.rows)


def _first_page(servers: Servers, target: Target) -> list[str]:
    return [f"{PREFIX}?limit={PAGE}"]


KINDS: dict[str, tuple[str, Callable[[Servers, Target], list[str]]]] = {
    "replay": ("replays.lua", _charged),
    "get by id": ("paths.lua", _ids),
    "time line": ("paths.lua", _time_lines),
    "list, first page": ("paths.lua", _first_page),
    "list, deep cursor": ("paths.lua", _cursors),
}
