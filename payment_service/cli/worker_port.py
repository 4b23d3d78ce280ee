"""WORKER_PORT: what the worker counted, and whether it is well, for scrapers and probes.

A worker in a pod of its own keeps counters that no web process knows, such as
payments_contradicted_total. What the database tells is on the web's /metrics only: were it here
too, a sum over all pods would count it twice.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import structlog
from flask import Flask
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from werkzeug import Request, Response
from werkzeug.serving import WSGIRequestHandler, make_server

from payment_service.config import settings
from payment_service.domain.events import iso
from payment_service.services import beats, health
from payment_service.services import worker as beating
from payment_service.telemetry import metrics, process_metrics
from payment_service.version import VERSION

log = structlog.get_logger(__name__)

READ_SECONDS = 5
"""A client that sends nothing for so long is hung up on: probes and scrapers are quick."""


class _Quiet(WSGIRequestHandler):
    """Without werkzeug's line per request, which no log of ours has."""

    timeout = READ_SECONDS

    def log(self, type: str, message: str, *args: Any) -> None:
        if type == "error":
            logging.getLogger(__name__).warning(message, *args)


@contextmanager
def served(app: Flask) -> Iterator[int | None]:
    """Answers on WORKER_PORT until the end of the block; nothing where it is not set. Raises
    SystemExit, with a plain line from werkzeug, if the port can't be had."""
    found = app.extensions["settings"]
    if found.worker_port is None:
        yield None
        return
    server = make_server(
        found.service_host,
        found.worker_port,
        answering(app),
        threaded=True,
        request_handler=_Quiet,
    )
    # Who asks slowly must not keep a worker from its end.
    server.daemon_threads = True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, name="worker-port", daemon=True)
    thread.start()
    log.info("worker_port", host=found.service_host, port=server.port)
    try:
        yield server.port
    finally:
        server.shutdown()
        server.server_close()


def answering(app: Flask) -> Callable[..., Any]:
    """The WSGI application of this port."""

    @Request.application
    def answer(request: Request) -> Response:
        view = _VIEWS.get(request.path)
        if view is None:
            return _json({"title": "Not Found"}, 404)
        if request.method not in ("GET", "HEAD"):
            return _json({"title": "Method Not Allowed"}, 405)
        with app.app_context():
            return view(request)

    return answer


def _health(request: Request) -> Response:
    """200 as long as the process lives: a worker without a database waits for it."""
    return _json({"service": "payment-worker", "version": VERSION, "status": "UP"}, 200)


def _ready(request: Request) -> Response:
    reachable, silent = beating.standing()
    ready = reachable and not silent
    body = {
        "status": "UP" if ready else "DOWN",
        "dependencies": {"database": health.UP if reachable else health.DOWN},
        "beats": len(beats.PULSE.came),
        "silent_beats": silent,
    }
    return _json(body, 200 if ready else 503)


def _metrics(request: Request) -> Response:
    token = settings().metrics_token
    if not metrics.shows_token(request.headers.get("Authorization", ""), token):
        metrics.REFUSED.labels("metrics").inc()
        refused = _json({"title": "Unauthorized", "reason": "metrics"}, 401)
        refused.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        return refused
    registry = CollectorRegistry()
    registry.register(metrics.CountsCollector(os.environ.get("PROMETHEUS_MULTIPROC_DIR")))
    registry.register(process_metrics.ProcessesCollector())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


_VIEWS: dict[str, Callable[[Request], Response]] = {
    "/health": _health,
    "/health/ready": _ready,
    "/ready": _ready,
    "/metrics": _metrics,
}


def _json(body: dict[str, Any], status: int) -> Response:
    body = {**body, "timestamp": iso(datetime.now(UTC))}
    return Response(json.dumps(body), status=status, content_type="application/json")
