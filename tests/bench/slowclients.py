"""`make slow-clients`: what a thousand slow clients do to fifty honest ones.

python -m tests.bench.slowclients [--slow 1000] [--seconds 20] [CHECKOUT]

The honest ones charge and read at a constant rate on connections that they keep, first alone, then
beside clients that send half of their headers, half of their body, or read nothing of an answer of
5.7 MB, a third each; whoever of these is closed comes again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from tests.bench import world
from tests.running_service import Service
from tests.sandbox_server import ROOT
from tests.slow import Crowd

HONEST = 50
PACE_SECONDS = 0.25  # of each: 200 requests a second together, half of what two cores can
PATIENCE_SECONDS = 5.0
WARM_SECONDS = 3.0
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
    asyncio.run(honest(port, WARM_SECONDS))
    show("alone", *asyncio.run(honest(port, seconds)))
    with crowd(port, slow) as come:
        print(f"{come} of {slow} slow clients have come")
        show(f"beside {slow}", *asyncio.run(honest(port, seconds)))


def show(name: str, times: list[float], unanswered: int) -> None:
    cuts = quantiles(times, n=100) if len(times) > 1 else [float("nan")] * 99
    print(
        f"{name}: {len(times)} answers, {unanswered} without one,"
        f" p50 {cuts[49] * 1e3:.1f} ms, p99 {cuts[98] * 1e3:.1f} ms, longest"
        f" {max(times, default=float('nan')) * 1e3:.0f} ms"
    )


async def honest(port: int, seconds: float) -> tuple[list[float], int]:
    """Seconds that each answer took, and how many requests had none in time."""
    found = await asyncio.gather(*(one_honest(port, n, seconds) for n in range(HONEST)))
    return [time for times, _ in found for time in times], sum(lost for _, lost in found)


async def one_honest(port: int, number: int, seconds: float) -> tuple[list[float], int]:
    times: list[float] = []
    lost = turn = 0
    begun = time.perf_counter() + PACE_SECONDS * number / HONEST
    streams = None
    while (due := begun + turn * PACE_SECONDS) < begun + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        turn += 1
        started = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                streams = streams or await asyncio.open_connection("127.0.0.1", port)
                await ask(*streams, request(number, turn))
            times.append(time.perf_counter() - started)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            lost += 1
            if streams:
                streams[1].close()
            streams = None
    if streams:
        streams[1].close()
    return times, lost


def request(number: int, turn: int) -> bytes:
    """A charge, then a read."""
    if turn % 2:
        return b"GET /v1/payments?limit=5 HTTP/1.1\r\nHost: honest\r\n\r\n"
    unique = time.time_ns()
    body = json.dumps(
        {"order_id": unique // 1000 * 50 + number, "amount": "1.00", "method": "CASH"}
    )
    return (
        f"POST /v1/payments/charge HTTP/1.1\r\nHost: honest\r\nIdempotency-Key: {unique}-{number}"
        f"\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> None:
    """Raises OSError where the answer is no 2xx."""
    writer.write(sent)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
    if head.split(b" ", 2)[1][:1] != b"2":
        raise OSError(head.decode())


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
