"""Who may read /metrics: whoever has METRICS_TOKEN, or comes by METRICS_PORT, if they are set. And
what else there is on the ports that are for watching alone."""

from __future__ import annotations

from flask import Flask, request
from werkzeug.exceptions import NotFound

from payment_service.config import Settings, settings
from payment_service.domain.errors import InvalidToken
from payment_service.telemetry.metrics import REFUSED, shows_token

METRICS = "health.get_metrics"
"""The endpoint."""
HEALTH = frozenset({"health.get_health", "health.get_ready", "health.get_ready_2"})
"""The endpoints on HEALTH_PORT; the last two are one view at two paths."""


def guard(app: Flask) -> None:
    """Has each request meet it, where anything is set."""
    found = app.extensions.get("settings")
    if found and is_needed(found):
        app.before_request(_admit)


def is_needed(found: Settings) -> bool:
    """Whether not everybody may read them, or a port has less than all of it."""
    return bool(found.metrics_token or found.metrics_port or found.health_port)


def _admit() -> None:
    """Raises NotFound for the metrics on the port of everybody, and for all else on theirs; for all
    but health on its port; and InvalidToken."""
    wanted = request.endpoint == METRICS
    found, port = settings(), settings().metrics_port
    # The worker says by which of its sockets the request came, whatever its Host header says.
    _, came_by = request.server or ("", None)
    if found.health_port and came_by == found.health_port and request.endpoint not in HEALTH:
        raise NotFound
    if port and (came_by == port) != wanted:
        raise NotFound
    sent = request.headers.get("Authorization", "")
    if wanted and not shows_token(sent, found.metrics_token):
        REFUSED.labels("metrics").inc()
        raise InvalidToken("this needs METRICS_TOKEN as a bearer token", reason="metrics")
