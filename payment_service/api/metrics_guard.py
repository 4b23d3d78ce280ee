"""Who may read /metrics: whoever has METRICS_TOKEN, or comes by METRICS_PORT, if they are set."""

from __future__ import annotations

import hmac

from flask import Flask, request
from werkzeug.exceptions import NotFound

from payment_service.config import Settings, settings
from payment_service.domain.errors import InvalidToken
from payment_service.telemetry.metrics import REFUSED

METRICS = "health.get_metrics"
"""The endpoint."""


def guard(app: Flask) -> None:
    """Has each request meet it, where anything is set."""
    found = app.extensions.get("settings")
    if found and is_needed(found):
        app.before_request(_admit)


def is_needed(found: Settings) -> bool:
    """Whether not everybody may read them."""
    return bool(found.metrics_token or found.metrics_port)


def _admit() -> None:
    """Raises NotFound for the metrics on the port of everybody, and for all else on theirs; and
    InvalidToken."""
    wanted = request.endpoint == METRICS
    port, token = settings().metrics_port, settings().metrics_token
    # The worker says by which of its sockets the request came, whatever its Host header says.
    _, came_by = request.server or ("", None)
    if port and (came_by == port) != wanted:
        raise NotFound
    if wanted and token and not _shows(token):
        REFUSED.labels("metrics").inc()
        raise InvalidToken("this needs METRICS_TOKEN as a bearer token", reason="metrics")


def _shows(token: str) -> bool:
    sent = request.headers.get("Authorization", "").encode()
    return hmac.compare_digest(sent, f"Bearer {token}".encode())
