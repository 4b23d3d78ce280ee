"""Where the events stand on their way to each sink, as Prometheus families."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from payment_service.services.deliveries import Standing

_FAMILIES = (
    (GaugeMetricFamily, "outbox_pending", "Events that a sink is owed, parked ones apart"),
    (GaugeMetricFamily, "outbox_parked", "Events that wait for an operator"),
    (GaugeMetricFamily, "outbox_lag_seconds", "Age of the oldest event that could be delivered"),
    (CounterMetricFamily, "outbox_delivered_total", "Events that a sink took, ever"),
    (CounterMetricFamily, "outbox_parked_total", "Events that were parked, ever"),
)


class OutboxCollector(Collector):
    """One scrape's families. Relays count in the database: they run in other processes."""

    def __init__(self, standings: Sequence[Standing]) -> None:
        self._standings = standings

    def collect(self) -> Iterable[Metric]:
        for kind, name, text in _FAMILIES:
            family = kind(name, text, labels=["sink"])
            for standing in self._standings:
                family.add_metric([standing.sink], getattr(standing, name.removeprefix("outbox_")))
            yield family
