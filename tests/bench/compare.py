"""What a change or a setting does to the CPU time of a charge, or of a read: variants in turn, in
one run, and with reads a bare Flask view among them.

git worktree add /tmp/before HEAD~1
python -m tests.bench.compare --rounds 8 /tmp/before . .,DB_POOL_SIZE=3
python -m tests.bench.compare --what "get by id" --what replay /tmp/before .
python -m tests.bench.compare . .,TOKENS

A variant is a checkout and settings; with TOKENS the service asks for tokens, and every hundredth
charge brings another one. On a machine that others share, the CPU time of the same code
differs by a third from minute to minute; medians of rounds in turn can be compared.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import callers, charges, filling, reads, world
from tests.bench.__main__ import SMALL_ROWS
from tests.bench.bare import Bare
from tests.bench.reads import Target
from tests.bench.world import Servers
from tests.running_service import Service

CONNECTIONS = 16
TOKENS = "TOKENS"
PARTS = ("gunicorn", "postgres", "redis", "load")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--what", action="append", choices=["charge", *reads.KINDS])
    parser.add_argument(
        "variants", nargs="+", metavar="CHECKOUT[,SETTING=VALUE...][,TOKENS] or bare"
    )
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        world.servers(Path(directory)) as servers,
        contextlib.ExitStack() as stack,
    ):
        services = [
            stack.enter_context(world.started(_service(servers, number, variant), worker=False))
            for number, variant in enumerate(asked.variants)
        ]
        for what in asked.what or ["charge"]:
            _compare(servers, what, dict(zip(asked.variants, services, strict=True)), asked)


def _compare(servers: Servers, what: str, services: dict[str, Service], asked: Any) -> None:
    rounds: dict[str, Callable[[float], dict[str, float]]]
    if what == "charge":
        rounds = {name: partial(_one, servers, service) for name, service in services.items()}
    else:
        rounds = _reads(servers, what, services)
    for one in rounds.values():
        one(2.0)  # warm
    found: dict[str, list[dict[str, float]]] = {name: [] for name in rounds}
    for _ in range(asked.rounds):
        for name, one in rounds.items():
            found[name].append(one(asked.seconds))
    for name, ones in found.items():
        parts = {part: median(one[part] for one in ones) for part in ones[0]}
        print(f"{what}: {name}", ", ".join(f"{part} {value:.0f}" for part, value in parts.items()))


def _reads(
    servers: Servers, what: str, services: dict[str, Service]
) -> dict[str, Callable[[float], dict[str, float]]]:
    rounds = {}
    for number, (name, service) in enumerate(services.items()):
        if isinstance(service, Bare):
            file = servers.directory / "constant.paths"
            file.write_text("/\n")
            ask = ("paths.lua", file)
        else:
            ask = reads.an_ask(servers, Target(service, f"variant{number}", SMALL_ROWS), what)
        rounds[name] = partial(_one_read, servers, service, ask)
    return rounds


def _one_read(
    servers: Servers, service: Service, ask: tuple[str, Path], seconds: float
) -> dict[str, float]:
    """CPU microseconds of a read, of gunicorn and PostgreSQL, and reads a second."""
    done = reads.one_round(servers, service, ask, seconds)
    if done.load.not_2xx:
        raise RuntimeError(f"{service.tree}: {done.load}")
    return {"all": done.cpu_us, "reads/s": done.load.rate}


def _service(servers: Servers, number: int, variant: str) -> Service:
    if variant == "bare":
        return Bare(servers.directory / "bare")
    tree, *settings = variant.split(",")
    database = f"variant{number}"
    servers.migrated(database)
    filling.fill(servers, database, SMALL_ROWS)
    env = dict(setting.split("=", 1) for setting in settings if setting != TOKENS)
    service = servers.service(database, database, Path(tree).absolute(), **env)
    if TOKENS in settings:
        service.env |= callers.write(service.directory)
    return service


def _one(servers: Servers, service: Service, seconds: float) -> dict[str, float]:
    """CPU microseconds of a charge by part, and charges a second."""
    tokens = callers.tokens_of(service.directory)
    done = charges.one_round(servers, service, CONNECTIONS, seconds, tokens)
    if done.load.not_2xx:
        raise RuntimeError(f"{service.tree}: {done.statuses}")
    spent = {name: 1e6 * done.cpu[name] / done.load.requests for name in PARTS}
    return {**spent, "all": sum(spent.values()), "charges/s": done.load.rate}


if __name__ == "__main__":
    main()
