"""What this process counts itself. Totals over all payments are in services/totals."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram, Metric
from prometheus_client.multiprocess import MultiProcessCollector

PROVIDER_SECONDS = Histogram(
    "payment_service_provider_call_seconds",
    "Time of calls to providers by verb and ending",
    ["provider", "verb", "ending"],
)
# Only ever grows. A gauge to Prometheus, because a counter's name would end in _total and
# dashboards know this one without.
PROCESSING_ERRORS = Gauge(
    "payment_processing_errors",
    "Calls to providers that were not sent or whose outcome is unknown",
    ["provider", "ending"],
    multiprocess_mode="sum",
)
CIRCUIT_STATE = Gauge(
    "provider_circuit_breaker_state",
    "0 closed, 1 open, 2 half-open; the worst of this service's processes",
    ["provider"],
    multiprocess_mode="livemax",
)
CONTRADICTED = Counter(
    "payments_contradicted",
    "Payments whose status followed evidence against what callers had been told",
)


class ProcessesCollector:
    """What all processes have counted, from the files that they keep in `directory`.

    prometheus_client's own collector fails on a file that a process has made and not yet filled,
    and with it the scrape.
    """

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def collect(self) -> Iterable[Metric]:
        filled = [str(file) for file in self._directory.glob("*.db") if _is_filled(file)]
        found: Iterable[Metric] = MultiProcessCollector.merge(filled)  # type: ignore[no-untyped-call]
        return found


def _is_filled(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:  # the gauges of a process that has just ended
        return False
