"""Health, readiness and metrics: for probes and scrapers, without a caller's token."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any, ClassVar

from flask import Response
from marshmallow import fields, validate
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from payment_service.api.blueprints import Blueprint
from payment_service.api.certificate_metrics import CertificatesCollector
from payment_service.api.outbox_metrics import OutboxCollector
from payment_service.api.totals_metrics import TotalsCollector
from payment_service.api.watching_metrics import WatchingCollector
from payment_service.api.webhook_metrics import WebhooksCollector
from payment_service.config import settings
from payment_service.domain.events import iso
from payment_service.schemas import fields as own
from payment_service.services import deliveries, health, totals, watching, webhook_reading
from payment_service.telemetry import metrics
from payment_service.telemetry.process_metrics import ProcessesCollector
from payment_service.version import VERSION

blueprint = Blueprint("health", __name__, description="Watching", watching=True)

STATES = [health.UP, health.DOWN, health.OFF]


class HealthSchema(own.AnswerSchema):
    """That the process lives."""

    example: ClassVar[own.Wire] = {
        "service": "payment-service",
        "version": VERSION,
        "commit": "4f1c2d9",
        "status": "UP",
        "database_status": "UP",
        "timestamp": "2026-11-20T10:00:00Z",
    }

    service = fields.String()
    version = fields.String()
    commit = fields.String()
    status = fields.String(validate=validate.OneOf(["UP", "DEGRADED"]))
    database_status = fields.String(validate=validate.OneOf(STATES))
    timestamp = fields.String()


class ReadinessSchema(own.AnswerSchema):
    """Whether requests can be served, and what they need. `warnings`, if there are any, say what
    fails or will fail soon, and what to do."""

    sometimes = frozenset({"warnings"})
    example: ClassVar[own.Wire] = {
        "status": "UP",
        "dependencies": {"database": "UP", "redis": "UP", "rabbitmq": "OFF"},
        "timestamp": "2026-11-20T10:00:00Z",
    }

    status = fields.String(validate=validate.OneOf(["UP", "DEGRADED", "DOWN"]))
    dependencies = fields.Dict(keys=fields.String(), values=fields.String())
    warnings = fields.List(fields.String())
    timestamp = fields.String()


@blueprint.get("/health", operation="getHealth")
@blueprint.response(200, HealthSchema)
def get_health() -> dict[str, Any]:
    """Say that the process lives

    200 as long as it does; DEGRADED where something that it needs is down, as it was known last.
    """
    states = health.known()
    return {
        "service": "payment-service",
        "version": VERSION,
        "commit": settings().build_commit,
        "status": "DEGRADED" if health.DOWN in states.values() else "UP",
        "database_status": states["database"],
        "timestamp": iso(datetime.now(UTC)),
    }


@blueprint.get("/ready", operation="getReady")
@blueprint.get("/health/ready", operation="getReadiness")
@blueprint.response(200, ReadinessSchema)
@blueprint.alt_response(
    503, schema=ReadinessSchema, description="No database, or its schema is too old"
)
def get_ready() -> tuple[dict[str, Any], int]:
    """Say whether requests can be served

    The database decides, and whether its migrations are made (`schema` is DOWN where one is
    missing); Redis, RabbitMQ and who serves the keys of tokens only degrade.
    """
    states = health.check()
    ready = health.is_ready(states)
    degraded = health.DOWN in states.values()
    body = {
        "status": ("DEGRADED" if degraded else "UP") if ready else "DOWN",
        "dependencies": states,
        "warnings": health.warnings(states) or None,
        "timestamp": iso(datetime.now(UTC)),
    }
    return body, 200 if ready else 503


@blueprint.get("/metrics", operation="getMetrics")
@blueprint.response(200, {"type": "string"}, content_type="text/plain")
@blueprint.refuses(401, 404)
def get_metrics() -> Response:
    """Read the metrics

    Prometheus text: this pod's processes together, and the totals over all payments, which are left
    out (`payment_service_watched` is 0) while the database does not answer. Where a token
    of their own is set for them (METRICS_TOKEN), it is asked for; where a port is, they are there.
    """
    registry = CollectorRegistry()
    registry.register(metrics.CountsCollector(os.environ.get("PROMETHEUS_MULTIPROC_DIR")))
    registry.register(ProcessesCollector())
    registry.register(CertificatesCollector(health.certificate_ends()))
    registry.register(WatchingCollector(watching.read()))
    if watching.database_answers():
        registry.register(TotalsCollector(totals.read()))
        registry.register(OutboxCollector(deliveries.standings()))
        registry.register(WebhooksCollector(webhook_reading.waiting()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
