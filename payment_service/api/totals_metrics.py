"""The totals over all payments as Prometheus families, under the names that dashboards use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from payment_service.domain import money
from payment_service.domain.vocabulary import PaymentStatus
from payment_service.services.totals import Summary


class TotalsCollector(Collector):
    """One scrape's families from one summary. Amounts are major units, with their currency."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary

    def collect(self) -> Iterable[Metric]:
        yield from self._counts()
        yield from self._standing()
        yield from self._amounts()

    def _counts(self) -> Iterable[Metric]:
        rows = self._summary.rows
        failed = [row.entered for row in rows if row.status == PaymentStatus.FAILED]
        for name, text, value in (
            ("payments_created", "Payments created", sum(row.created for row in rows)),
            ("payments_failed", "Payments that failed", sum(failed)),
            ("refunds_processed", "Refunds given", sum(row.refunds for row in rows)),
        ):
            yield CounterMetricFamily(name, text, value=value)
        moves = CounterMetricFamily(
            "payment_service_payments",
            "Payments that entered a status",
            labels=["provider", "method", "status"],
        )
        sums: dict[tuple[str, str, str], int] = defaultdict(int)
        for row in rows:
            sums[row.provider, row.method, row.status] += row.entered
        for labels, value in sorted(sums.items()):
            moves.add_metric(labels, value)
        yield moves

    def _standing(self) -> Iterable[Metric]:
        by_status = dict.fromkeys((str(status) for status in PaymentStatus), 0)
        by_method: dict[str, int] = defaultdict(int)
        for row in self._summary.rows:
            by_status[row.status] += row.payments
            by_method[row.method] += row.payments
        # The totals leave these out: they are counted where they stand.
        by_status[PaymentStatus.PROCESSING] = sum(self._summary.processing.values())
        for method, count in self._summary.processing.items():
            by_method[method] += count
        yield GaugeMetricFamily(
            "payments_unresolved",
            "Requests whose outcome is unknown for longer than RESOLUTION_ALARM_SECONDS",
            value=self._summary.unresolved,
        )
        yield GaugeMetricFamily(
            "payments_unresolved_oldest_age_seconds",
            "Age of the oldest of them; 0 where there is none",
            value=self._summary.oldest_unresolved,
        )
        for name, text, label, values in (
            ("payments_by_status", "Payments by status", "status", by_status),
            ("payments_by_method", "Payments by method", "method", by_method),
        ):
            family = GaugeMetricFamily(name, text, labels=[label])
            for word, value in sorted(values.items()):
                family.add_metric([word], value)
            yield family

    def _amounts(self) -> Iterable[Metric]:
        succeeded: dict[str, int] = defaultdict(int)
        for row in self._summary.rows:
            succeeded[row.currency] += row.entered if row.status == PaymentStatus.SUCCESS else 0
        paid = CounterMetricFamily(
            "payments_succeeded", "Payments that were captured", labels=["currency"]
        )
        for currency, count in sorted(succeeded.items()):
            paid.add_metric([currency], count)
        yield paid
        for name, text, column in (
            ("total_amount_processed", "Captured, ever, in major units", "captured"),
            ("total_refunds", "Refunded, ever, in major units", "refunded"),
        ):
            sums: dict[str, int] = defaultdict(int)
            for row in self._summary.rows:
                sums[row.currency] += int(getattr(row, column))
            # A gauge to Prometheus, because a counter's name would end in _total.
            family = GaugeMetricFamily(name, text, labels=["currency"])
            for currency, minor in sorted(sums.items()):
                family.add_metric([currency], float(money.to_decimal(minor, currency)))
            yield family
