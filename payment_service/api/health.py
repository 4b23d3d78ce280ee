"""Health, readiness and metrics: for probes and scrapers, without a token."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from flask import Response
from marshmallow import Schema, fields, validate
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from payment_service.api.blueprints import Blueprint
from payment_service.api.outbox_metrics import OutboxCollector
from payment_service.api.totals_metrics import TotalsCollector
from payment_service.domain.events import iso
from payment_service.services import deliveries, health, totals
from payment_service.telemetry import metrics
from payment_service.version import VERSION

blueprint = Blueprint("health", __name__, description="Watching", watching=True)

STATES = [health.UP, health.DOWN, health.OFF]


class HealthSchema(Schema):
    service = fields.String()
    version = fields.String()
    status = fields.String(validate=validate.OneOf(["UP", "DEGRADED"]))
    database_status = fields.String(validate=validate.OneOf(STATES))
    timestamp = fields.String()


class ReadySchema(Schema):
    status = fields.String(validate=validate.OneOf(["UP", "DEGRADED", "DOWN"]))
    dependencies = fields.Dict(keys=fields.String(), values=fields.String())
    timestamp = fields.String()


@blueprint.get("/health")
@blueprint.response(200, HealthSchema)
def get_health() -> dict[str, Any]:
    """The process lives"""
    states = health.check()
    return {
        "service": "payment-service",
        "version": VERSION,
        "status": "DEGRADED" if health.DOWN in states.values() else "UP",
        "database_status": states["database"],
        "timestamp": iso(datetime.now(UTC)),
    }


@blueprint.get("/ready")
@blueprint.get("/health/ready")
@blueprint.response(200, ReadySchema)
@blueprint.alt_response(503, schema=ReadySchema, description="The database does not answer")
def get_ready() -> tuple[dict[str, Any], int]:
    """Requests can be served: the database decides, Redis and RabbitMQ only degrade"""
    states = health.check()
    ready = states["database"] == health.UP
    degraded = health.DOWN in states.values()
    body = {
        "status": ("DEGRADED" if degraded else "UP") if ready else "DOWN",
        "dependencies": states,
        "timestamp": iso(datetime.now(UTC)),
    }
    return body, 200 if ready else 503


@blueprint.get("/metrics")
@blueprint.response(200, {"type": "string"}, content_type="text/plain")
def get_metrics() -> Response:
    """Prometheus text: this pod's processes together, and the totals over all payments"""
    registry = CollectorRegistry()
    registry.register(metrics.CountsCollector(os.environ.get("PROMETHEUS_MULTIPROC_DIR")))
    registry.register(TotalsCollector(totals.read()))
    registry.register(OutboxCollector(deliveries.standings()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
