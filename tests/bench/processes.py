"""CPU time by part, and how requests spread over the gunicorn workers."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from prometheus_client.mmap_dict import MmapedDict

# In a process's file each bucket holds what fell into it alone, so that together they are all.
REQUESTS = "payment_service_http_request_duration_seconds_bucket"


def tree(pid: int) -> list[psutil.Process]:
    """The process and all below it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    return []


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """User and system time, that of children which have ended included."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
            total += times.children_user + times.children_system
    return total


def answered(metrics: Path) -> Counter[tuple[int, str]]:
    """Requests by worker's pid and status, from the files that the workers count in."""
    counts: Counter[tuple[int, str]] = Counter()
    for file in metrics.glob("histogram_*.db"):
        pid = file.stem.split("_")[1].partition("-")[0]
        if not pid.isdigit():
            continue  # what was counted by those that died, folded
        for key, value, *_ in MmapedDict.read_all_values_from_file(str(file)):
            _, sample, labels, *_ = json.loads(key)
            if sample == REQUESTS:
                counts[int(pid), labels["status"]] += int(value)
    return counts


@dataclass
class Meter:
    """Where the CPU time between two moments went. `parts` names the tops of process trees."""

    parts: dict[str, int]
    metrics: Path | None = None
    _before: dict[str, float] = field(default_factory=dict)
    _counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    _busy: float = 0.0

    def start(self) -> None:
        self._before = self._spent()
        self._counts = answered(self.metrics) if self.metrics else Counter()
        self._busy = _machine_busy()

    def seconds(self) -> dict[str, float]:
        """CPU seconds by part since start; `machine` is that of everything on it, and `load` that
        of wrk or pgbench, which must have ended."""
        now = self._spent()
        spent = {name: now[name] - self._before.get(name, 0.0) for name in now}
        return {**spent, "machine": _machine_busy() - self._busy}

    def statuses(self) -> dict[str, int]:
        """Answers by status since start."""
        found: Counter[str] = Counter()
        for (_, status), count in self._since().items():
            found[status] += count
        return dict(found)

    def spread(self) -> list[float]:
        """Each worker's share of the requests since start, the busiest first."""
        found: Counter[int] = Counter()
        for (pid, _), count in self._since().items():
            found[pid] += count
        total = sum(found.values()) or 1
        return sorted((count / total for count in found.values()), reverse=True)

    def _since(self) -> Counter[tuple[int, str]]:
        return answered(self.metrics) - self._counts if self.metrics else Counter()

    def _spent(self) -> dict[str, float]:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = {name: cpu_seconds(tree(pid)) for name, pid in self.parts.items()}
        return {**spent, "load": ended.ru_utime + ended.ru_stime}


def memory_ns(objects: int) -> float:
    """Nanoseconds of CPU time to look into one of so many Python objects, which lie far apart.

    A thousand fit into a core's own cache; what twenty thousand cost more is the memory's doing,
    and that of whoever else uses it. A processor that others share is as fast as ever in sums and
    several times slower in this.
    """
    held = [{"number": number} for number in range(300_000)]
    order = random.Random(1).sample(range(len(held)), objects) * max(1, 400_000 // objects)
    before = time.process_time()
    for place in order:
        held[place]["number"]
    return 1e9 * (time.process_time() - before) / len(order)


def _machine_busy() -> float:
    times = psutil.cpu_times()
    return times.user + times.system + times.nice + times.irq + times.softirq
