"""`make bench-peers`: this service beside others, in rounds in turn.

BENCH_SECONDS (10) is the length of a round, BENCH_ROUNDS (5) how many, VAR_DIR (var) where
bench/peers.json is written. What is fetched and built is kept in .peers. All that is started
listens on 127.0.0.1 and ends with the run. A service that can't be had is named and left out;
then the exit code is 3.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import report, world, yardstick
from tests.bench.__main__ import _roomy, _stop, say
from tests.bench.load import Missing, require_wrk
from tests.bench.peers import blnk, formance, killbill, ours
from tests.bench.peers.contract import Running, Unavailable
from tests.bench.peers.fetching import FOLDER
from tests.bench.peers.rounds import CONNECTIONS, FOREIGN_MOST, Bench, Round, Unproven, repeated
from tests.bench.processes import memory_ns
from tests.bench.report import Report
from tests.bench.world import Servers
from tests.bench.yardstick import Round as Classic

PEERS = (ours.PEER, killbill.PEER, formance.PEER, blnk.PEER)
SOME_ARE_MISSING = 3
SETTLE_SECONDS = 3.0
"""After the start, or all connections may land on one worker of those that are up already."""

Rounds = dict[str, list[Round]]


def main() -> int:
    signal.signal(signal.SIGTERM, _stop)
    require_wrk()
    seconds = float(os.environ.get("BENCH_SECONDS") or 10)
    count = int(os.environ.get("BENCH_ROUNDS") or 5)
    var = Path(os.environ.get("VAR_DIR") or "var").absolute() / "bench"
    var.mkdir(parents=True, exist_ok=True)
    missing = fetched()
    with (
        tempfile.TemporaryDirectory(prefix="peers-", dir=_roomy(var)) as directory,
        world.servers(Path(directory), by_tcp=True) as servers,
        contextlib.ExitStack() as stack,
    ):
        running = started(servers, stack, missing)
        measured = measure(servers, running, seconds, count)
        found = Report(report.machine(seconds, 0, servers.settings()))
    found.sections = {**measured, "left_out": missing}
    found.write(var / "peers.json")
    print(table(measured))
    for name, why in missing.items():
        print(f"{name} is left out: {why}")
    return SOME_ARE_MISSING if missing else 0


def fetched() -> dict[str, str]:
    """Fetches all that is not there yet; who can't be had, and why."""
    missing = {}
    for peer in PEERS:
        folder = FOLDER / peer.name.lower().replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            peer.fetch(folder)
        except Unavailable as error:
            missing[peer.name] = str(error)
            say(f"{peer.name} is left out: {error}")
    return missing


def started(
    servers: Servers, stack: contextlib.ExitStack, missing: dict[str, str]
) -> dict[str, Running]:
    """Those that start. The others are added to `missing`."""
    running = {}
    for peer in PEERS:
        if peer.name in missing:
            continue
        say(f"starting {peer.name}")
        folder = FOLDER / peer.name.lower().replace(" ", "-")
        try:
            one = stack.enter_context(peer.start(servers, folder, servers.directory))
        except Unavailable as error:
            missing[peer.name] = str(error)
            say(f"{peer.name} is left out: {error}")
        else:
            running[peer.name] = one
    time.sleep(SETTLE_SECONDS)
    return running


def measure(
    servers: Servers, running: dict[str, Running], seconds: float, count: int
) -> dict[str, Any]:
    """Rounds of acts in turn, with the yardstick before each turn; then of reads."""
    bench = Bench(servers, list(running.values()))
    yardstick.prepare(servers)
    acts = {act.name: partial(bench.act, one, act) for one in running.values() for act in one.acts}
    for one in running.values():
        for act in one.acts:
            say(f"warming {act.name}")
            bench.act(one, act, one.warm_seconds)
    reads = {one.acts[0].name: partial(bench.read, one) for one in running.values()}
    classic: list[Classic] = []
    memory = [round(memory_ns(20_000))]
    made: Rounds = {name: [] for name in acts}
    for turn in range(count):
        classic.append(yardstick.measure(servers, seconds))
        _one_turn(f"acts, turn {turn + 1}", acts, made, seconds)
        memory.append(round(memory_ns(20_000)))
    for one in running.values():
        bench.read(one, one.warm_seconds)
    asked: Rounds = {name: [] for name in reads}
    for turn in range(count):
        _one_turn(f"reads, turn {turn + 1}", reads, asked, seconds)
        memory.append(round(memory_ns(20_000)))
    return {
        "memory_ns": memory,
        "yardstick_per_second": [round(one.rate) for one in classic],
        "acts": {name: [vars(one) for one in rounds] for name, rounds in made.items()},
        "reads": {name: [vars(one) for one in rounds] for name, rounds in asked.items()},
    }


def _one_turn(
    what: str, asks: Mapping[str, Callable[[float], Round]], found: Rounds, seconds: float
) -> None:
    for name, ask in asks.items():
        one = repeated(partial(ask, seconds))
        found[name].append(one)
        mark = ", polluted" if one.polluted else ""
        say(f"{what}: {name} {one.rate:,.0f}/s, foreign load {100 * one.foreign:.0f} %{mark}")


def table(measured: dict[str, Any]) -> str:
    """As docs/performance.md has it: medians of the rounds."""
    classic, memory = measured["yardstick_per_second"], measured["memory_ns"]
    lines = [
        "| | acts/s | CPU us | of the yardstick | GET by id/s | CPU us | foreign load |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, acts in measured["acts"].items():
        pairs = zip((one["rate"] for one in acts), classic, strict=True)
        ratio = median(rate / beside for rate, beside in pairs)
        reads = measured["reads"].get(name, [])
        rate, cpu = _figures(reads) if reads else ("", "")
        shares = [100 * one["foreign"] for one in acts + reads]
        foreign = f"{median(shares):.0f} %, at most {max(shares):.0f} %"
        own = " | ".join(_figures(acts))
        lines.append(f"| {name} | {own} | {ratio:.2f} | {rate} | {cpu} | {foreign} |")
    everything = [*measured["acts"].values(), *measured["reads"].values()]
    rounds = [one for each in everything for one in each]
    polluted = sum(one["foreign"] > FOREIGN_MOST for one in rounds)
    lines += [
        "",
        f"{CONNECTIONS} connections; CPU: application + PostgreSQL."
        f" Yardstick {median(classic):,.0f}/s."
        f" A look into one of 20,000 objects: {min(memory)} to {max(memory)} ns."
        f" Rounds that others polluted to the end: {polluted} of {len(rounds)}.",
    ]
    return "\n".join(lines)


def _figures(rounds: list[dict[str, Any]]) -> tuple[str, str]:
    def middle(what: str) -> str:
        return f"{median(one[what] for one in rounds):,.0f}"

    return middle("rate"), f"{middle('application_us')} + {middle('postgres_us')}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Missing, Unproven) as error:
        sys.exit(f"bench: {error}")
