"""How many webhooks wait, as Prometheus families."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from payment_service.services.webhook_reading import Waiting


class WebhooksCollector(Collector):
    """One scrape's families. They are counted in the database: workers are other processes."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "webhook_retry_queue_size", "Webhooks that will be tried again", self._waiting.due
        )
        yield GaugeMetricFamily(
            "webhooks_parked", "Webhooks that wait for an operator", self._waiting.parked
        )
