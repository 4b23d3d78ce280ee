"""`make slow-clients`: what a thousand slow clients do to fifty honest ones.

python -m tests.bench.slowclients [--slow 1000] [--seconds 20] [CHECKOUT]

The honest ones charge and read at a constant rate on connections that they keep, first alone, then
beside clients that send half of their headers, half of their body, or read nothing of an answer of
5.7 MB, a third each; whoever of these is closed comes again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import honest, world
from tests.running_service import Service
from tests.sandbox_server import ROOT
from tests.slow import Crowd

COME_SECONDS = 14.0
"""The crowd comes within this, about REQUEST_READ_SECONDS, so that it is closed and comes again as
evenly."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--slow", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each of the two parts")
    parser.add_argument("--crowd-at", type=int, help="(for itself) be the crowd on this port")
    parser.add_argument("checkout", nargs="?", type=Path, default=ROOT)
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if asked.crowd_at:
        be_crowd(asked.crowd_at, asked.slow)
        return
    with (
        tempfile.TemporaryDirectory(prefix="slow-") as directory,
        world.servers(Path(directory)) as servers,
    ):
        servers.migrated("payments_slow")
        service = servers.service("web", "payments_slow", asked.checkout.absolute())
        with world.started(service, worker=False):
            measure(service, asked.slow, asked.seconds)


def measure(service: Service, slow: int, seconds: float) -> None:
    port = int(service.url.rsplit(":", 1)[1])
    asyncio.run(honest.clients(port, honest.WARM_SECONDS))
    honest.show("alone", *asyncio.run(honest.clients(port, seconds)))
    with crowd(port, slow) as come:
        print(f"{come} of {slow} slow clients have come")
        honest.show(f"beside {slow}", *asyncio.run(honest.clients(port, seconds)))


@contextmanager
def crowd(port: int, count: int) -> Iterator[int]:
    """The slow clients in a process of their own; how many have come."""
    command = [sys.executable, "-m", "tests.bench.slowclients", "--crowd-at", str(port)]
    process = subprocess.Popen(
        [*command, "--slow", str(count)],
        cwd=ROOT,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        yield int(process.stdout.readline() or 0)
        process.terminate()
    finally:
        process.kill()
        process.wait()


def be_crowd(port: int, count: int) -> None:
    found = Crowd(port, count, pause=COME_SECONDS / count)
    print(found.here, flush=True)
    parent = os.getppid()
    found.watch(lambda: os.getppid() != parent, again=True)


if __name__ == "__main__":
    main()
