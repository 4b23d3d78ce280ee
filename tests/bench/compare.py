"""What a change or a setting does to a charge's CPU time: variants in turn, in one run.

git worktree add /tmp/before HEAD~1
python -m tests.bench.compare --rounds 8 /tmp/before . .,DB_POOL_SIZE=3

A variant is a checkout and settings. On a machine that others share, the CPU time of the same code
differs by a third from minute to minute; medians of rounds in turn can be compared.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path
from statistics import median

from tests.bench import charges, filling, world
from tests.bench.__main__ import SMALL_ROWS
from tests.bench.world import Servers
from tests.running_service import Service

CONNECTIONS = 16
PARTS = ("gunicorn", "postgres", "redis", "load")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("variants", nargs="+", metavar="CHECKOUT[,SETTING=VALUE...]")
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
        for service in services:
            _one(servers, service, 2.0)  # warm
        found: list[list[dict[str, float]]] = [[] for _ in services]
        for _ in range(asked.rounds):
            for service, rounds in zip(services, found, strict=True):
                rounds.append(_one(servers, service, asked.seconds))
    for variant, rounds in zip(asked.variants, found, strict=True):
        parts = {name: median(one[name] for one in rounds) for name in rounds[0]}
        print(variant, ", ".join(f"{name} {value:.0f}" for name, value in parts.items()))


def _service(servers: Servers, number: int, variant: str) -> Service:
    tree, *settings = variant.split(",")
    database = f"variant{number}"
    servers.migrated(database)
    filling.fill(servers, database, SMALL_ROWS)
    env = dict(setting.split("=", 1) for setting in settings)
    return servers.service(database, database, Path(tree).absolute(), **env)


def _one(servers: Servers, service: Service, seconds: float) -> dict[str, float]:
    """CPU microseconds of a charge by part, and charges a second."""
    done = charges.one_round(servers, service, CONNECTIONS, seconds)
    if done.load.not_2xx:
        raise RuntimeError(f"{service.tree}: {done.statuses}")
    spent = {name: 1e6 * done.cpu[name] / done.load.requests for name in PARTS}
    return {**spent, "all": sum(spent.values()), "charges/s": done.load.rate}


if __name__ == "__main__":
    main()
