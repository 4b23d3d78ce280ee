"""What this process counts itself. Totals over all payments are in services/totals."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

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
