"""Each request's id, its line in the log and its place in the metrics.

The line says who called and which payment it was about, as far as the API found out: it puts them
into `g.caller` (with a `name`) and `g.payment_id`.
"""

from __future__ import annotations

import inspect
import re
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog
from flask import Flask, Response, g, has_request_context, request
from prometheus_flask_exporter import PrometheusMetrics
from structlog.contextvars import bind_contextvars, clear_contextvars

from payment_service.telemetry import metrics, traces

log = structlog.get_logger(__name__)

# What an id may look like to be taken over, if no card number is in it: it goes into logs, headers
# and events.
_SANE = re.compile(r"[A-Za-z0-9._:\-]{1,128}\Z", re.ASCII)
LONGEST_PATH = 8000
"""Characters; a longer path is refused unread, and would make an endless line."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)


# Once per process, however many apps it makes: the registry takes each name once.
_EXPORTER = PrometheusMetrics.for_app_factory(path=None, export_defaults=False)


class _Label:
    """Reads one label off a response. The exporter inspects the signature of each label at each
    request; one that is given here takes a quarter of the time."""

    __signature__ = inspect.signature(lambda response: None)

    def __init__(self, read: Callable[[Response], object]) -> None:
        self._read = read

    def __call__(self, response: Response) -> object:
        return self._read(response)


# How many there were is the histogram's count: telemetry/metrics tells it under a name of its own.
_TIMED = _EXPORTER.histogram(
    metrics.REQUEST_SECONDS,
    "Time from the request's arrival to its answer",
    labels={
        "method": _Label(lambda _: request.method),
        "route": _Label(lambda _: request.url_rule.rule if request.url_rule else "unknown"),
        "status": _Label(lambda response: response.status_code),
    },
    buckets=BUCKETS,
)


def watch(app: Flask, *, refused: Callable[[str], bool], guard: Callable[[Response], None]) -> None:
    """Hooks ids, logs and metrics into the app. An id that is `refused` is replaced. `guard` is
    called with each answer; a hook of its own would cost each request as much again."""

    def finish(response: Response) -> Response:
        guard(response)
        return _finish(response, refused)

    app.before_request(lambda: _start(refused))
    app.after_request(finish)
    _EXPORTER.init_app(app)
    # Around the whole dispatch rather than around each view: a 404 and what a hook refuses count.
    app.full_dispatch_request = _TIMED(app.full_dispatch_request)  # type: ignore[method-assign]


def trace(app: Flask) -> None:
    """Puts a span around each request. Only for a process that traces: the others pay nothing."""
    dispatch = app.full_dispatch_request

    def traced() -> Response:
        came = request.headers.get("traceparent")
        route = request.url_rule.rule if request.url_rule else "unknown"
        with traces.going_on(f"{request.method} {route}", came, "server") as span:
            response = dispatch()
            _note(span, route, response)
            return response

    app.full_dispatch_request = traced  # type: ignore[method-assign]


def _note(span: traces.Span, route: str, response: Response) -> None:
    """The route and not the path: the link to a payer's page has a secret in it."""
    span.note("http.request.method", request.method)
    span.note("http.route", route)
    span.note("http.response.status_code", response.status_code)
    span.note("request_id", g.get("request_id", ""))
    if (payment_id := g.get("payment_id")) is not None:
        span.note("payment.id", int(payment_id))
    if response.status_code >= 500:
        span.fail(str(response.status_code))


class Origin(NamedTuple):
    """Where an act came from, for the record: the request, the operator's session (`g.session_id`,
    which the panel sets), and the client's address."""

    request_id: str | None = None
    session_id: int | None = None
    address: str | None = None


def origin() -> Origin:
    """Of the request that is served; of nothing outside of one."""
    if not has_request_context():
        return Origin()
    return Origin(g.get("request_id"), g.get("session_id"), request.remote_addr)


def _start(refused: Callable[[str], bool]) -> None:
    clear_contextvars()
    g.started = time.perf_counter()
    g.request_id = _request_id(refused)
    bind_contextvars(request_id=g.request_id)


def _request_id(refused: Callable[[str], bool]) -> str:
    for name in ("X-Request-ID", "X-Correlation-ID"):
        sent = request.headers.get(name, "")
        if _SANE.match(sent) and not refused(sent):
            return sent
    return uuid.uuid4().hex


def _payment_id(refused: Callable[[str], bool]) -> int | None:
    """The payment that was found; else the one in the path, if that is no card number."""
    if (found := g.get("payment_id")) is not None:
        return int(found)
    asked: int | None = (request.view_args or {}).get("payment_id")
    return None if asked is None or refused(str(asked)) else asked


def _finish(response: Response, refused: Callable[[str], bool]) -> Response:
    request_id = g.get("request_id")
    if request_id is None:
        return response
    response.headers["X-Request-ID"] = request_id
    told: dict[str, Any] = {}
    if (caller := g.get("caller")) is not None:
        told["caller"] = caller.name
    if (payment_id := _payment_id(refused)) is not None:
        told["payment_id"] = payment_id
    log.info(
        "request",
        method=request.method,
        path=request.path[:LONGEST_PATH],
        status=response.status_code,
        milliseconds=round((time.perf_counter() - g.started) * 1000, 1),
        **told,
    )
    return response
