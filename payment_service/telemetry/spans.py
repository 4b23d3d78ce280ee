"""Spans by OpenTelemetry, sent over OTLP. Only telemetry/traces imports this, and only where
OTEL_EXPORTER_OTLP_ENDPOINT is set."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

from payment_service.config import Settings
from payment_service.telemetry import traced_sql
from payment_service.telemetry.traces import Kind
from payment_service.version import VERSION

log = structlog.get_logger(__name__)

SEND_SECONDS = 2.0
"""What the collector gets for one batch, its retries included: it stands beside us, and what waits
behind a slow one would only be dropped later."""

LAST_SECONDS = 3.0
"""What the last spans get when the process ends: one batch, and a little."""

QUIET_SECONDS = 60.0
"""A collector that is away is told of once in this time."""

_KINDS = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
    "producer": trace.SpanKind.PRODUCER,
}
_W3C = TraceContextTextMapPropagator()


class Open:
    """A span that is open."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def fail(self, why: str) -> None:
        self._span.set_attribute("error.type", why)
        self._span.set_status(trace.StatusCode.ERROR)


class OpenMessage(Open):
    """The span of a message that is on its way."""

    def __init__(self, span: trace.Span) -> None:
        super().__init__(span)
        self.traceparent = _traceparent(trace.set_span_in_context(span)) or ""

    def end(self) -> None:
        self._span.end()


class Tracing:
    """Makes spans, and sends them from a thread of its own: nobody waits for a collector, and what
    it does not take is dropped."""

    def __init__(self, settings: Settings, process: str) -> None:
        _tell_rarely()
        self._provider = TracerProvider(
            sampler=_sampler(settings.otel_traces_sampler, settings.otel_traces_sampler_arg),
            resource=_resource(settings, process),
            shutdown_on_exit=False,  # it would wait for half a minute
        )
        self._provider.add_span_processor(BatchSpanProcessor(_exporter(settings)))
        self._tracer = self._provider.get_tracer("payment_service", VERSION)
        traced_sql.listen(self._tracer)

    def close(self) -> None:
        traced_sql.deafen()
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        last.join(LAST_SECONDS)

    def inside(self, name: str, kind: Kind) -> AbstractContextManager[Open] | None:
        if not trace.get_current_span().is_recording():
            return None
        return self._open(name, kind, None)

    def going_on(self, name: str, came: str | None, kind: Kind) -> AbstractContextManager[Open]:
        return self._open(name, kind, came)

    @contextmanager
    def _open(self, name: str, kind: Kind, came: str | None) -> Iterator[Open]:
        context = None
        if came is not None and not trace.get_current_span().get_span_context().is_valid:
            context = _of(came)
        with self._tracer.start_as_current_span(
            name,
            context,
            kind=_KINDS[kind],
            # An error's text may hold what is personal; its class is enough.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            opened = Open(span)
            try:
                yield opened
            except BaseException as error:
                opened.fail(type(error).__name__)
                raise

    def message(self, name: str, came: str | None) -> OpenMessage:
        return OpenMessage(self._tracer.start_span(name, _of(came), kind=_KINDS["producer"]))

    def traceparent(self) -> str | None:
        return _traceparent(None)

    def ids(self) -> dict[str, str]:
        found = trace.get_current_span().get_span_context()
        if not found.is_valid:
            return {}
        return {
            "trace_id": trace.format_trace_id(found.trace_id),
            "span_id": trace.format_span_id(found.span_id),
        }


def _of(came: str | None) -> Context:
    """One in which whoever sent this traceparent is the parent; one without a parent for none, and
    for garbage."""
    return _W3C.extract({"traceparent": came} if came else {}, Context())


def _traceparent(context: Context | None) -> str | None:
    # Without the caller's tracestate: what it holds is not ours to hand to a provider.
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, context)
    return carrier.get("traceparent")


def _exporter(settings: Settings) -> OTLPSpanExporter:
    base = settings.otel_exporter_otlp_endpoint or ""
    return OTLPSpanExporter(
        endpoint=f"{base.rstrip('/')}/v1/traces",
        headers=parse_env_headers(settings.otel_exporter_otlp_headers or "", liberal=True),
        timeout=SEND_SECONDS,
    )


def _resource(settings: Settings, process: str) -> Resource:
    return Resource.create(
        {
            "service.name": settings.otel_service_name,
            "service.version": VERSION,
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            "payment_service.process": process,
        }
    )


def _sampler(name: str, share: float) -> sampling.Sampler:
    """One of those that OTEL_TRACES_SAMPLER names. "parentbased" does as the caller's traceparent
    says, if there is one."""
    roots: dict[str, sampling.Sampler] = {
        "always_on": sampling.ALWAYS_ON,
        "always_off": sampling.ALWAYS_OFF,
        "traceidratio": sampling.TraceIdRatioBased(share),
    }
    root = roots[name.removeprefix("parentbased_")]
    return sampling.ParentBased(root) if name.startswith("parentbased_") else root


class _Rarely(logging.Handler):
    """One line in QUIET_SECONDS of all that OpenTelemetry complains about: a collector that is away
    is no news at each batch."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._quiet_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            log.warning("traces_are_lost", said=record.getMessage()[:300])


def _tell_rarely() -> None:
    theirs = logging.getLogger("opentelemetry")
    theirs.propagate = False
    theirs.handlers = [_Rarely()]
