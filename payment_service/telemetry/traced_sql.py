"""Spans for the statements that go through SQLAlchemy; statements.py makes those of its own. Loaded
by telemetry/spans alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from sqlalchemy import Engine, event

_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+\"?([a-z_]+)", re.IGNORECASE)

_tracer: trace.Tracer | None = None


def listen(tracer: trace.Tracer) -> None:
    """Makes a span for each statement of all engines from now on."""
    global _tracer
    _tracer = tracer
    for name, hear in _LISTENERS.items():
        event.listen(Engine, name, hear)


def deafen() -> None:
    """Makes none any more."""
    for name, hear in _LISTENERS.items():
        event.remove(Engine, name, hear)


def summary(statement: str) -> str:
    """What it does to which table, as `SELECT payments`; never a value."""
    verb = statement.split(None, 1)[0].upper() if statement.strip() else "SQL"
    table = _TABLE.search(statement)
    return f"{verb} {table.group(1)}" if table else verb


def _before(_: Any, __: Any, statement: str, ___: Any, context: Any, ____: bool) -> None:
    if _tracer is None or context is None or not trace.get_current_span().is_recording():
        return
    name = summary(statement)
    context.payment_service_span = _tracer.start_span(
        name,
        kind=trace.SpanKind.CLIENT,
        attributes={"db.system.name": "postgresql", "db.query.summary": name},
    )


def _after(_: Any, __: Any, ___: str, ____: Any, context: Any, _____: bool) -> None:
    if (span := getattr(context, "payment_service_span", None)) is not None:
        span.end()


def _failed(told: Any) -> None:
    span = getattr(told.execution_context, "payment_service_span", None)
    if span is not None:
        span.set_attribute("error.type", type(told.original_exception).__name__)
        span.set_status(trace.StatusCode.ERROR)
        span.end()


_LISTENERS: dict[str, Callable[..., None]] = {
    "before_cursor_execute": _before,
    "after_cursor_execute": _after,
    "handle_error": _failed,
}
