"""What services/watching found, as Prometheus families."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from payment_service.services.beats import BeatStanding
from payment_service.services.disputes import OpenDisputes
from payment_service.services.watching import Watched


class WatchingCollector(Collector):
    """One scrape's families. Where the database did not say, they are not there, and one says so:
    an alert must not take silence for good news."""

    def __init__(self, watched: Watched | None) -> None:
        self._watched = watched

    def collect(self) -> Iterable[Metric]:
        watched = self._watched
        yield GaugeMetricFamily(
            "payment_service_watched",
            "1 where the database told what is watched in time, else 0",
            value=int(watched is not None),
        )
        if watched is None:
            return
        yield from _beats(watched.beats)
        yield GaugeMetricFamily(
            "payment_service_audit_chain_broken",
            "1 while a walk over the hash chains found something that nobody has explained",
            value=int(watched.is_chain_broken),
        )
        yield GaugeMetricFamily(
            "payment_service_backup_last_success_timestamp_seconds",
            "When the last backup was done; 0 if none ever was",
            value=watched.backup_at.timestamp() if watched.backup_at else 0.0,
        )
        yield GaugeMetricFamily(
            "payment_service_database_size_bytes",
            "Size of the database on its disk",
            value=watched.database_bytes,
        )
        yield from _disputes(watched.disputes)


def _disputes(disputes: Iterable[OpenDisputes]) -> Iterable[Metric]:
    count = GaugeMetricFamily(
        "disputes_open", "Disputes that have not ended", labels=["provider", "currency"]
    )
    amount = GaugeMetricFamily(
        "dispute_amount",
        "What they are about, in major units",
        labels=["provider", "currency"],
    )
    soon = GaugeMetricFamily(
        "disputes_due_soon",
        "Those that want evidence within DISPUTE_ALARM_HOURS",
        labels=["provider", "currency"],
    )
    for one in disputes:
        labels = [one.provider, one.currency]
        count.add_metric(labels, one.count)
        amount.add_metric(labels, float(one.amount))
        soon.add_metric(labels, one.due_soon)
    yield from (count, amount, soon)


def _beats(beats: Iterable[BeatStanding]) -> Iterable[Metric]:
    last = GaugeMetricFamily(
        "payment_service_worker_beat_timestamp_seconds",
        "When a beat of any worker was last written; 0 if it never was",
        labels=["beat"],
    )
    silent = GaugeMetricFamily(
        "payment_service_worker_beat_silent",
        "1 where no worker's beat came for five of its periods, and a minute at least",
        labels=["beat"],
    )
    for beat in beats:
        last.add_metric([beat.beat], beat.last_at.timestamp() if beat.last_at else 0.0)
        silent.add_metric([beat.beat], int(beat.is_silent))
    yield from (last, silent)
