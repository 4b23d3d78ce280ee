"""Card charges at a constant rate through the sandbox's latency: how much time we add.

The provider's time is what the service logs of its call; the rest of the caller's wait is ours,
the load generator's own lateness included. The highest rate is searched at which 99 % wait less
than 50 ms for us and nothing fails but what the sandbox made fail. A rate that fails is tried once
more, because other work on the machine fails it too.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import quantiles
from typing import Any

import requests

from tests.bench.generator import PATIENCE_SECONDS
from tests.bench.processes import Meter
from tests.bench.world import Servers
from tests.running_service import Service
from tests.sandbox_server import ROOT, Sandbox

AIM_RATE = 300
AIM_MS = 50.0
PROCESSES = 2
FIRST, MOST, STEP = 100, 800, 25
_numbers = itertools.count(1)


def measure(servers: Servers, service: Service, sandbox: Sandbox, seconds: float) -> dict[str, Any]:
    """All rates that were tried, and the highest that held; 0 if none did."""
    profile = {"profile": "lognormal"}
    requests.post(f"{sandbox.url}/sandbox/latency", json=profile, timeout=60).raise_for_status()
    one_rate(servers, service, sandbox, 50, 2)  # warm
    tried: list[dict[str, Any]] = []

    def holds(rate: int) -> bool:
        for _ in range(2):
            tried.append(one_rate(servers, service, sandbox, rate, seconds))
            if tried[-1]["holds"]:
                return True
        return False

    return {"highest": highest(holds), "tried": tried}


def highest(holds: Callable[[int], bool]) -> int:
    """The highest rate that holds: doubled until one fails, then halved in between."""
    good, bad, rate = 0, None, FIRST
    while bad is None and rate <= MOST:
        if holds(rate):
            good, rate = rate, rate * 2
        else:
            bad = rate
    while bad is not None and bad - good > STEP:
        middle = (good + bad) // 2 // STEP * STEP
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good


def one_rate(
    servers: Servers, service: Service, sandbox: Sandbox, rate: int, seconds: float
) -> dict[str, Any]:
    """Sends charges at that rate, for that many seconds."""
    assert service.web is not None
    parts = {
        "gunicorn": service.web.pid,
        "postgres": servers.postgres.process.pid,
        "sandbox": sandbox.pid,
    }
    meter = Meter(parts, service.directory / "metrics")
    start = service.log.stat().st_size
    meter.start()
    sent = list(_generated(int(service.url.rsplit(":", 1)[1]), rate, seconds))
    provider, injected = _calls(service.log, start)
    added = [total - provider.get(name, 0.0) for name, _, total, _ in sent]
    failed = Counter(
        status for name, status, _, _ in sent if status != "201" and name not in injected
    )
    cuts = quantiles(added, n=100)
    return {
        "rate": rate,
        "requests": len(sent),
        "added_p50_ms": round(cuts[49], 1),
        "added_p99_ms": round(cuts[98], 1),
        "provider_p50_ms": round(quantiles(provider.values(), n=100)[49], 1),
        "generator_late_p99_ms": round(quantiles([late for *_, late in sent], n=100)[98], 1),
        "injected": len(injected),
        "errors": dict(failed),
        "cpu_us_per_charge": {
            name: round(1e6 * spent / len(sent)) for name, spent in meter.seconds().items()
        },
        "holds": cuts[98] < AIM_MS and not failed,
    }


def _generated(port: int, rate: int, seconds: float) -> Iterator[tuple[str, str, float, float]]:
    """Id, status, total ms and lateness in ms of each request."""
    command = [sys.executable, "-m", "tests.bench.generator", str(port)]
    running = [
        subprocess.Popen(
            [*command, str(rate / PROCESSES), str(seconds), str(next(_numbers))],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    try:
        for process in running:
            said, _ = process.communicate(timeout=seconds + PATIENCE_SECONDS + 300)
            for line in said.splitlines():
                name, status, total, late = line.split()
                yield name, status, float(total), float(late)
    finally:
        for process in running:
            process.kill()
            process.wait()


def _calls(log: Path, start: int) -> tuple[dict[str, float], set[str]]:
    """Milliseconds at the provider by request, and the requests that it failed."""
    spent: dict[str, float] = {}
    failed = set()
    with log.open() as file:
        file.seek(start)
        for call in _objects(file):
            if call.get("event") != "provider_call" or call["verb"] == "lookup":
                continue
            name = call.get("request_id", "")
            spent[name] = spent.get(name, 0.0) + call["milliseconds"]
            if call["ending"] != "answered":
                failed.add(name)
    return spent, failed


def _objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The log's objects; two processes may have written theirs on one line."""
    decoder = json.JSONDecoder()
    for line in lines:
        line = line.strip()
        while line.startswith("{"):
            found, end = decoder.raw_decode(line)
            yield found
            line = line[end:].lstrip()
