"""CPU and memory of this pod's processes, as Prometheus families.

prometheus_client tells them of one process only, and of none where several count into files. Here
it is those of one process group: gunicorn's master with its workers, or the worker alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PROC = Path("/proc")
"""Linux has it; elsewhere nothing is told."""


@dataclass(frozen=True)
class Used:
    """What one process has used: seconds of CPU, those of its children that ended among them, so
    that a worker's stay when it ends; bytes of memory that are in RAM."""

    cpu_seconds: float
    resident_bytes: int


class ProcessesCollector(Collector):
    """One scrape's families."""

    def collect(self) -> Iterable[Metric]:
        found = list(of_group(os.getpgrp()))
        if not found:
            return
        yield CounterMetricFamily(
            "process_cpu_seconds",
            "CPU time of this pod's processes, in seconds",
            value=sum(one.cpu_seconds for one in found),
        )
        yield GaugeMetricFamily(
            "process_resident_memory_bytes",
            "Memory of this pod's processes that is in RAM; what they share counts for each",
            value=sum(one.resident_bytes for one in found),
        )
        yield GaugeMetricFamily(
            "payment_service_processes", "This pod's processes", value=len(found)
        )


def of_group(group: int, proc: Path = PROC) -> Iterator[Used]:
    """What each process of this group has used."""
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for path in proc.glob("[0-9]*/stat"):
        try:
            # The name stands in brackets and may hold anything; what follows is numbers.
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[2]) == group:
            yield Used(sum(map(int, fields[11:15])) / ticks, int(fields[21]) * page)
