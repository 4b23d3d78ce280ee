"""What the dashboard shows: its panels, by section.

What the database tells is told by every web process alike, so panels take the max over them; what
each process counts is summed.
"""

from __future__ import annotations

from dataclasses import dataclass

RATE = "[$__rate_interval]"
JOBS = 'job=~"payment-.*"'


@dataclass(frozen=True)
class Panel:
    """One panel: what is drawn, each with its legend."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    told: str = ""


def one(title: str, unit: str, expression: str, legend: str, told: str = "") -> Panel:
    return Panel(title, unit, ((expression, legend),), told)


def _increase(name: str, labels: str, matching: str = "") -> str:
    """Per minute, of a total that the database tells."""
    return f"sum by ({labels}) (max without (instance, pod) (rate({name}{matching}{RATE}))) * 60"


def _counted(name: str, labels: str, matching: str = "") -> str:
    """Per second, of what each process counts itself."""
    return f"sum by ({labels}) (rate({name}{matching}{RATE}))"


def _quantiles(name: str, matching: str = "", labels: str = "le") -> tuple[tuple[str, str], ...]:
    return tuple(
        (
            f"histogram_quantile({share}, sum by ({labels}) (rate({name}_bucket{matching}{RATE})))",
            f"p{round(share * 100)}" + (" {{provider}}" if "provider" in labels else ""),
        )
        for share in (0.5, 0.95, 0.99)
    )


MONEY = (
    one(
        "Payments per minute",
        "short",
        _increase("payment_service_payments_total", "status"),
        "{{status}}",
    ),
    one(
        "Success by method and provider",
        "percentunit",
        "sum by (provider, method) (max without (instance, pod)"
        f' (rate(payment_service_payments_total{{status=~"SUCCESS|AUTHORIZED"}}{RATE})))'
        " / sum by (provider, method) (max without (instance, pod)"
        f' (rate(payment_service_payments_total{{status=~"SUCCESS|AUTHORIZED|FAILED"}}{RATE})))',
        "{{provider}} {{method}}",
    ),
    one(
        "Payments by provider, method and status",
        "short",
        _increase("payment_service_payments_total", "provider, method, status"),
        "{{provider}} {{method}} {{status}}",
    ),
    one(
        "Money by currency",
        "short",
        "max by (currency) (total_amount_processed)",
        "{{currency}}",
        "Captured, ever, in major units.",
    ),
    one(
        "Average amount",
        "short",
        "max by (currency) (increase(total_amount_processed[1h]))"
        " / max by (currency) (increase(payments_succeeded_total[1h]))",
        "{{currency}}",
        "Of the last hour, in major units; nothing where nothing was captured.",
    ),
    Panel(
        "Refunds",
        "short",
        (
            ("max(rate(refunds_processed_total[$__rate_interval])) * 60", "per minute"),
            ("max by (currency) (total_refunds)", "{{currency}}, ever"),
        ),
    ),
    Panel(
        "Unresolved",
        "short",
        (
            ("max(payments_unresolved)", "unresolved"),
            ('max(payments_by_status{status="PROCESSING"})', "processing"),
        ),
    ),
    one(
        "Age of the oldest unresolved",
        "s",
        "max(payments_unresolved_oldest_age_seconds)",
        "oldest",
    ),
    one("Contradicted", "short", "sum(increase(payments_contradicted_total[1h]))", "in an hour"),
)
PROVIDERS = (
    one(
        "Provider requests by ending",
        "reqps",
        _counted("payment_service_provider_call_seconds_count", "provider, verb, ending"),
        "{{provider}} {{verb}} {{ending}}",
    ),
    Panel(
        "Provider time",
        "s",
        _quantiles("payment_service_provider_call_seconds", labels="le, provider"),
    ),
    Panel(
        "Provider errors and repeated reads",
        "short",
        (
            ("sum by (provider, ending) (payment_processing_errors)", "{{provider}} {{ending}}"),
            (_counted("payment_service_reads_repeated_total", "host"), "read again: {{host}}"),
        ),
    ),
    one(
        "Circuits",
        "short",
        "max by (provider) (provider_circuit_breaker_state)",
        "{{provider}}",
        "0 closed, 1 open, 2 half-open.",
    ),
    one(
        "Look-ups",
        "reqps",
        _counted("payment_service_lookups_total", "provider, found"),
        "{{provider}} {{found}}",
    ),
    one(
        "Certificates end in",
        "s",
        "min by (provider) (payment_service_provider_certificate_ends_timestamp_seconds) - time()",
        "{{provider}}",
    ),
)
EVENTS = (
    one("Outbox lag", "s", "max by (sink) (outbox_lag_seconds)", "{{sink}}"),
    Panel(
        "Outbox pending and parked",
        "short",
        (
            ("max by (sink) (outbox_pending)", "{{sink}} pending"),
            ("max by (sink) (outbox_parked)", "{{sink}} parked"),
        ),
    ),
    one(
        "Webhooks by result",
        "reqps",
        _counted("webhooks_received_total", "source, status"),
        "{{source}} {{status}}",
    ),
)
REQUESTS = (
    one(
        "Request rate",
        "reqps",
        _counted("payment_service_http_requests_total", "route"),
        "{{route}}",
    ),
    one(
        "Errors by route",
        "reqps",
        _counted("payment_service_http_requests_total", "route, status", '{status=~"4..|5.."}'),
        "{{status}} {{route}}",
    ),
    Panel(
        "Request time",
        "s",
        _quantiles("payment_service_http_request_duration_seconds", '{route=~"/v1/.*"}'),
    ),
    Panel(
        "Log-ins and callers refused",
        "short",
        (
            (_counted("payment_service_log_ins_refused_total", "what"), "log-in: {{what}}"),
            (_counted("payment_service_refused_total", "why"), "{{why}}"),
        ),
    ),
)
MACHINERY = (
    one("CPU", "short", f"rate(process_cpu_seconds_total{{{JOBS}}}{RATE})", "{{job}} {{instance}}"),
    one("Memory", "bytes", f"process_resident_memory_bytes{{{JOBS}}}", "{{job}} {{instance}}"),
    Panel(
        "Pool",
        "short",
        (
            ("sum by (pool) (payment_service_database_pool_connections_in_use)", "{{pool}}"),
            ("sum by (pool) (payment_service_database_pool_connections_max)", "{{pool}}, most"),
        ),
    ),
    Panel("Query time", "s", _quantiles("payment_service_database_query_seconds")),
    one("Database size", "bytes", "max(payment_service_database_size_bytes)", "size"),
    one(
        "Workers' beats",
        "s",
        "time() - max by (beat) (payment_service_worker_beat_timestamp_seconds > 0)",
        "{{beat}}",
        "Seconds since each beat was written; it is written each five seconds at most.",
    ),
    one("Silent beats", "short", "max by (beat) (payment_service_worker_beat_silent)", "{{beat}}"),
    one(
        "Last backup",
        "s",
        "time() - max(payment_service_backup_last_success_timestamp_seconds > 0)",
        "ago",
    ),
    Panel(
        "Audit chain and watching",
        "short",
        (
            ("max(payment_service_audit_chain_broken)", "chain broken"),
            ("min(payment_service_watched)", "database says what is watched"),
            (f"sum by (job) (up{{{JOBS}}})", "{{job}} up"),
        ),
    ),
)
SECTIONS = (
    ("Money", MONEY),
    ("Providers", PROVIDERS),
    ("Events and webhooks", EVENTS),
    ("Requests", REQUESTS),
    ("Machinery", MACHINERY),
)
