"""How quickly something is done that takes a while: looked at until all is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.bench.processes import cpu_seconds, tree
from tests.bench.world import Servers
from tests.running_service import Service

LOOK_SECONDS, LONGEST_SECONDS = 0.05, 600.0


@dataclass(frozen=True)
class Pace:
    """How many in how many seconds; the rates of the first and last third, which differ where it
    matters how much is left; CPU microseconds of each by part."""

    done: int
    seconds: float
    first_third: float
    last_third: float
    cpu_us: dict[str, int]

    @property
    def rate(self) -> float:
        return self.done / self.seconds

    def shown(self) -> dict[str, Any]:
        """As the report shows it."""
        return {**vars(self), "per_second": round(self.rate)}


def paced(
    servers: Servers,
    service: Service,
    total: int,
    done: Callable[[], int],
    *,
    in_one: bool = False,
) -> Pace:
    """Looks until all is done.

    The time runs from the last look at which nothing was: what the first batch took is not in it.
    What is done `in_one` step is seen when it is over, so there it runs from the call, and the
    worker's wait for its next beat is in it.
    """
    parts = {
        "worker": [process.pid for process in service.processes],
        "postgres": [servers.postgres.process.pid],
    }

    def spent() -> dict[str, float]:
        return {name: sum(cpu_seconds(tree(pid)) for pid in pids) for name, pids in parts.items()}

    before = spent()
    looks = [(time.perf_counter(), 0)]

    def look() -> bool:
        looks.append((time.perf_counter(), done()))
        if looks[-1][1] == 0 and not in_one:
            looks[:-1] = []
        return looks[-1][1] >= total

    until(look)
    now = spent()

    def when(part: float) -> float:
        return next(at for at, many in looks if many >= part * total)

    # All may be over before the first look.
    begin, end = looks[0][0], max(looks[-1][0], looks[0][0] + LOOK_SECONDS)
    return Pace(
        done=total,
        seconds=round(end - begin, 2),
        first_third=round(total / 3 / max(when(1 / 3) - begin, LOOK_SECONDS)),
        last_third=round(total / 3 / max(end - when(2 / 3), LOOK_SECONDS)),
        cpu_us={name: round(1e6 * (now[name] - before[name]) / total) for name in parts},
    )


def until(over: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while not over():
        if time.monotonic() > deadline:
            raise RuntimeError(f"it was not over in {LONGEST_SECONDS} s")
        time.sleep(LOOK_SECONDS)
