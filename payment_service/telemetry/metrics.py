"""What this process counts itself. Totals over all payments are in services/totals."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from payment_service.telemetry import metric_files

metric_files.install()

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
CIRCUIT_REFUSED = Counter(
    "provider_circuit_refused",
    "Calls that were not made because the provider's circuit was open",
    ["provider"],
)
CONTRADICTED = Counter(
    "payments_contradicted",
    "Payments whose status followed evidence against what callers had been told",
)
LISTS = Counter(
    "payment_service_replica_lists",
    "Lists and figures that may come from DATABASE_READ_URL, by who answered: replica or primary",
    ["answered_by"],
)
FARES_TOO_HIGH = Counter(
    "payment_fares_too_high",
    "Charges refused because a fare that nobody sent was over MAX_AMOUNT",
)
REFUSED = Counter(
    "payment_service_refused",
    "Requests that were refused for who sends them, or for what that one may not do, by why",
    ["why"],
)
WEBHOOKS_RECEIVED = Counter(
    "payment_service_webhooks_received",
    "Webhooks whose provider was believed, each delivery; types that are not listed are other",
    ["provider", "event_type"],
)
WEBHOOKS = Counter(
    "webhooks_received",
    "Webhooks by what became of them: a status, REPEATED, NOT_KEPT (unsigned, and about nothing of"
    " ours) or REFUSED",
    ["source", "event_type", "status"],
)
WEBHOOK_ERRORS = Counter(
    "payment_service_webhook_processing_errors",
    "Tries to take in a webhook that went wrong here",
    ["provider"],
)
WEBHOOK_SECONDS_OF = Histogram(
    "payment_service_webhook_processing_duration_seconds",
    "Time to take in a webhook that was kept",
    ["provider"],
)
WEBHOOK_SECONDS = Histogram(
    "webhook_processing_duration_seconds", "Time to take in a webhook, whoever sent it"
)
WEBHOOKS_REFUSED = Counter(
    "payment_webhook_signature_failures",
    "Webhooks that were refused, by why",
    ["provider", "reason"],
)
CUT_CONNECTIONS = Counter(
    "payment_service_connections_cut",
    "Connections that were closed because the client was too slow, by what it was slow at: nothing"
    " (it sent nothing at all), headers, body, answer (it took none of it); or crowded: it had to"
    " make room",
    ["reason"],
)
FIUU_REQUESTS = Counter(
    "fiuu_requests",
    "Requests to Fiuu by what was asked, and the HTTP status, or silence or unreachable",
    ["endpoint", "method", "status"],
)
FIUU_SECONDS = Histogram("fiuu_request_duration_seconds", "Time of requests to Fiuu", ["endpoint"])
FIUU_CIRCUIT = Gauge(
    "fiuu_circuit_breaker_state",
    "0 closed, 1 open, 2 half-open; the worst of this service's processes",
    ["merchant_id"],
    multiprocess_mode="livemax",
)

LOOKUPS = Counter(
    "payment_service_lookups",
    "Times that a provider was asked what became of a request, by what it knew",
    ["provider", "found"],
)
READS_REPEATED = Counter(
    "payment_service_reads_repeated",
    "Reads from others that were asked once more because no answer came",
    ["host"],
)
LOG_INS_REFUSED = Counter(
    "payment_service_log_ins_refused",
    "Log-ins of operators that were refused: what was wrong, or too_early",
    ["what"],
)

REQUEST_SECONDS = "payment_service_http_request_duration_seconds"
"""Histogram of the requests that were answered, by method, route and status."""


def shows_token(sent: str, token: str | None) -> bool:
    """Whether an Authorization header shows METRICS_TOKEN; any does where none is set."""
    return token is None or hmac.compare_digest(sent.encode(), f"Bearer {token}".encode())


class CountsCollector(Collector):
    """What has been counted: by all processes, if they keep files in `directory`, or by this one.

    The count of requests is that of their histogram: counting them apart cost each request more.
    """

    def __init__(self, directory: str | None) -> None:
        self._directory = directory

    def collect(self) -> Iterable[Metric]:
        for family in (
            metric_files.merged(Path(self._directory)) if self._directory else REGISTRY.collect()
        ):
            yield family
            if family.name == REQUEST_SECONDS:
                yield _requests(family)


def _requests(seconds: Metric) -> Metric:
    labels = ("method", "route", "status")
    counted = CounterMetricFamily(
        "payment_service_http_requests", "Requests answered", labels=labels
    )
    for sample in seconds.samples:
        if sample.name == f"{REQUEST_SECONDS}_count":
            counted.add_metric([sample.labels[name] for name in labels], sample.value)
    return counted
