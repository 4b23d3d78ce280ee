"""One round of wrk on one service: what it did, what it cost, and the proof in its tables."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.load import Load, wrk
from tests.bench.peers.contract import Act, Running
from tests.bench.processes import Meter
from tests.bench.world import Servers

CONNECTIONS = 16
FOREIGN_MOST = 0.1
"""Of all cores. More of it, and the round is made again."""

TRIES = 3
PATHS = 2_000
SETTLED_SECONDS = 20.0
_bases = itertools.count(1)


class Unproven(Exception):
    """What a service answered, its tables do not show. The message says what is missing."""


@dataclass(frozen=True)
class Round:
    """`foreign` is the share of all cores that processes outside this bench took meanwhile."""

    rate: float
    application_us: float
    postgres_us: float
    foreign: float

    @property
    def polluted(self) -> bool:
        return self.foreign > FOREIGN_MOST


def repeated(one: Callable[[], Round]) -> Round:
    """The first round that nobody polluted; after TRIES the one that was polluted least."""
    found: list[Round] = []
    while len(found) < TRIES and not (found and not found[-1].polluted):
        found.append(one())
    return min(found, key=lambda each: each.foreign)


@dataclass(frozen=True)
class Bench:
    """All that runs. Who is not asked goes on with what it does by itself, and is no foreigner."""

    servers: Servers
    running: Iterable[Running]

    def act(self, service: Running, act: Act, seconds: float) -> Round:
        """A round of acts. Raises Unproven if fewer are in its tables than it answered."""
        before = self._count(service, act)
        base = next(_bases)
        request = self._file(f"{base}.request", _template(act))
        picks = self._file(f"{base}.picks", "\n".join(act.picks) + "\n")
        ask = ("peers/acts.lua", str(base), request, picks)
        load, found = self._asked(service, ask, seconds)
        answered = load.requests - load.not_2xx
        deadline = time.monotonic() + SETTLED_SECONDS
        while (done := self._count(service, act) - before) < answered:
            if time.monotonic() > deadline:
                raise Unproven(f"{act.name}: {answered} were answered, {done} are in its tables")
            time.sleep(0.2)
        # What was on its way when wrk ended, and what was refused, is all that may be more.
        if done > load.requests + CONNECTIONS:
            raise Unproven(f"{act.name}: {load.requests} were asked for, {done} are in its tables")
        return found

    def read(self, service: Running, seconds: float) -> Round:
        """A round of GETs by id, of acts that were made before, at random."""
        sql = f"SELECT * FROM ({service.reads}) AS paths ORDER BY random() LIMIT {PATHS}"
        paths = [path for (path,) in self.servers.query(service.database, sql)]
        file = self._file("read.paths", "\n".join(paths) + "\n")
        return self._asked(service, ("paths.lua", file), seconds)[1]

    def _count(self, service: Running, act: Act) -> int:
        return int(self.servers.query(service.database, act.done)[0][0])

    def _file(self, name: str, text: str) -> str:
        file: Path = self.servers.directory / name
        file.write_text(text)
        return str(file)

    def _asked(self, service: Running, ask: tuple[str, ...], seconds: float) -> tuple[Load, Round]:
        meter = Meter(self._parts())
        meter.start()
        started = time.monotonic()
        load = wrk(
            service.url, *ask, connections=CONNECTIONS, seconds=seconds, headers=service.headers
        )
        spent = meter.seconds()
        cores = (time.monotonic() - started) * (os.cpu_count() or 1)
        foreign = 2 * spent["machine"] - sum(spent.values())
        if load.not_2xx or load.socket_errors:
            raise Unproven(f"{service.url}: not all answers were 2xx: {load}")
        of_it = sum(spent[_named(service, part)] for part in service.parts)
        return load, Round(
            rate=load.rate,
            application_us=1e6 * of_it / load.requests,
            postgres_us=1e6 * spent["postgres"] / load.requests,
            foreign=max(0.0, foreign / cores),
        )

    def _parts(self) -> dict[str, int]:
        parts = {"postgres": self.servers.postgres.process.pid}
        for service in self.running:
            both: Mapping[str, int] = {**service.parts, **service.beside}
            parts |= {_named(service, part): pid for part, pid in both.items()}
        return parts


def _named(service: Running, part: str) -> str:
    return f"{service.database}: {part}"


def _template(act: Act) -> str:
    headers = "".join(f"{name}: {value}\n" for name, value in act.headers.items())
    return f"{act.path}\n{headers}\n{act.body}\n"
