"""When our certificates are over, as a Prometheus family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

NAME = "payment_service_provider_certificate_ends_timestamp_seconds"


class CertificatesCollector(Collector):
    """One scrape's family, read from the files: one that was replaced counts at once."""

    def __init__(self, ends: Mapping[str, datetime | None]) -> None:
        self._ends = ends

    def collect(self) -> Iterable[Metric]:
        told = "When the certificate by which a provider knows us is over; 0 if it can't be read"
        family = GaugeMetricFamily(NAME, told, labels=["provider"])
        for name, end in self._ends.items():
            family.add_metric([name], end.timestamp() if end else 0.0)
        yield family
