"""Of each alert: what Prometheus scrapes in a story in which it is quiet first and fires later."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Story:
    """Series as promtool writes them, one sample a minute; the alert is quiet at `quiet` minutes
    and fires at `fires`, with these labels beside its own."""

    series: dict[str, str]
    quiet: int
    fires: int
    labels: dict[str, str] = field(default_factory=dict)


WEB = '{job="payment-service",instance="a"}'
REQUESTS = "payment_service_http_requests_total"
BUCKET = "payment_service_http_request_duration_seconds_bucket"
PAYMENTS = "payment_service_payments_total"
WEBHOOKS = "webhooks_received_total"
WRONG = "payment_service_webhook_processing_errors_total"
RESTARTS = "kube_pod_container_status_restarts_total"
_A, _B = 'instance="a"', 'instance="b"'

STORIES: dict[str, list[Story]] = {
    "PaymentServiceDown": [
        Story({f"up{WEB}": "1x10 0x10"}, 11, 13, {"job": "payment-service", "instance": "a"}),
        Story({f"up{WEB}": "1x10 stale"}, 11, 14, {"job": "payment-service"}),
    ],
    "PaymentServerErrors": [
        Story(
            {
                f'{REQUESTS}{{{_A},status="201"}}': "0+900x60",
                f'{REQUESTS}{{{_A},status="503"}}': "0+40x20 800+100x40",
            },
            20,
            40,
        ),
    ],
    "PaymentFailures": [
        # Two processes tell the same totals; only one provider fails.
        Story(
            {
                f'{PAYMENTS}{{{where},provider="{provider}",method="CARD",status="{status}"}}': told
                for where in (_A, _B)
                for provider, status, told in (
                    ("sandbox", "SUCCESS", "0+95x60"),
                    ("sandbox", "FAILED", "0+5x60"),
                    ("swish", "SUCCESS", "0+85x60"),
                    ("swish", "FAILED", "0+5x20 100+15x40"),
                )
            },
            20,
            50,
            {"provider": "swish"},
        ),
    ],
    "PaymentsSlow": [
        Story(
            {
                f'{BUCKET}{{{_A},route="/v1/payments/charge",le="0.5"}}': "0+100x20 2000+90x40",
                f'{BUCKET}{{{_A},route="/v1/payments/charge",le="1.0"}}': "0+100x20 2000+90x40",
                f'{BUCKET}{{{_A},route="/v1/payments/charge",le="2.5"}}': "0+100x60",
                f'{BUCKET}{{{_A},route="/v1/payments/charge",le="+Inf"}}': "0+100x60",
            },
            20,
            40,
        ),
    ],
    "OutboxLag": [
        Story(
            {f'outbox_lag_seconds{{{_A},sink="trip"}}': "200x10 400x20"}, 14, 18, {"sink": "trip"}
        ),
    ],
    "DisputesDueSoon": [
        Story(
            {f'disputes_due_soon{{{_A},provider="stripe",currency="SEK"}}': "0x10 1x20"},
            14,
            18,
            {"provider": "stripe", "currency": "SEK"},
        ),
    ],
    "OutboxParked": [
        Story({f'outbox_parked{{{_A},sink="trip"}}': "0x10 2x20"}, 14, 18, {"sink": "trip"}),
    ],
    "PaymentsUnresolved": [
        Story(
            {
                f"payments_unresolved{{{_A}}}": "0x10 1x20",
                f"payments_unresolved{{{_B}}}": "0x10 1x20",
            },
            14,
            18,
        ),
    ],
    "PaymentsContradicted": [
        # Of a worker in a pod of its own.
        Story(
            {
                'payments_contradicted_total{job="payment-worker"}': "0x10 1x20",
                'payments_contradicted_total{job="payment-service"}': "0x30",
            },
            9,
            13,
        ),
    ],
    "CircuitOpen": [
        Story(
            {
                f'provider_circuit_refused_total{{{_A},provider="swish"}}': "0x10 0+9x20",
                f'provider_circuit_refused_total{{{_B},provider="swish"}}': "0x30",
            },
            12,
            14,
            {"provider": "swish"},
        ),
    ],
    "WebhookErrors": [
        Story(
            {
                f'{WEBHOOKS}{{{_A},source="fiuu",status="APPLIED"}}': "0+94x60",
                f'{WEBHOOKS}{{{_A},source="fiuu",status="REFUSED"}}': "0+3x20 60+12x40",
            },
            20,
            45,
        ),
        Story(
            {
                f'{WEBHOOKS}{{{_A},source="fiuu",status="APPLIED"}}': "0+100x60",
                f'{WRONG}{{{_A},provider="fiuu"}}': "0x20 0+20x40",
            },
            20,
            45,
        ),
    ],
    "WorkerSilent": [
        Story(
            {
                f'payment_service_worker_beat_silent{{{_A},beat="expiry"}}': "0x10 1x20",
                f'payment_service_worker_beat_silent{{{_A},beat="totals"}}': "0x30",
            },
            11,
            13,
            {"beat": "expiry"},
        ),
    ],
    "AuditChainBroken": [
        Story({f"payment_service_audit_chain_broken{{{_A}}}": "0x10 1x20"}, 10, 12),
    ],
    "CertificateEnding": [
        # 31 days after the beginning, which is the epoch: at 24 hours and a minute 30 are left.
        Story(
            {
                f"payment_service_provider_certificate_ends_timestamp_seconds{{{_A},"
                'provider="swish"}': "2678400x1500"
            },
            1445,
            1455,
            {"provider": "swish"},
        ),
        Story(
            {
                f"payment_service_provider_certificate_ends_timestamp_seconds{{{_A},"
                'provider="swish"}': "9999999x10 0x20"
            },
            15,
            25,
            {"provider": "swish"},
        ),
    ],
    "BackupMissing": [
        Story(
            {f"payment_service_backup_last_success_timestamp_seconds{{{_A}}}": "60x600"}, 485, 495
        ),
    ],
    "PodRestarts": [
        Story(
            {f'{RESTARTS}{{pod="payment-api-1",container="api"}}': "0x20 1+1x20"},
            20,
            26,
            {"pod": "payment-api-1"},
        ),
    ],
    "NotWatched": [
        Story(
            {
                f"payment_service_watched{{{_A}}}": "1x10 0x20",
                f"payment_service_watched{{{_B}}}": "1x30",
            },
            14,
            18,
        ),
    ],
}
