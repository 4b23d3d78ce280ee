"""Where the service says what belongs to a trace. Nothing of OpenTelemetry is imported here:
without OTEL_EXPORTER_OTLP_ENDPOINT all of this does nothing, and spans.py is not loaded.

No attribute holds a parameter of a statement, a path, a query string or an error's text: they may
be secret or personal, and who sees traces need not be who may see payments.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol

from payment_service.config import Settings

if TYPE_CHECKING:
    from payment_service.telemetry.spans import Tracing

Kind = Literal["internal", "server", "client", "producer"]


class Span(Protocol):
    """A part of the work, while it lasts."""

    def note(self, name: str, value: str | int) -> None:
        """Adds an attribute."""

    def fail(self, why: str) -> None:
        """It went wrong. `why` is one of few words, such as an error's class."""


class Message(Span, Protocol):
    """A span of one of many messages that are on their way at once: it is never the open one."""

    traceparent: str

    def end(self) -> None:
        """What became of it is known."""


class _Nothing:
    """The span of whoever does not trace."""

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def note(self, name: str, value: str | int) -> None:
        pass

    def fail(self, why: str) -> None:
        pass


_NOTHING = _Nothing()
_tracing: Tracing | None = None


def start(settings: Settings, process: str) -> bool:
    """Turns tracing on for this process, if it is set; says whether it is on. After a fork, because
    a thread sends the spans."""
    global _tracing
    if _tracing is None and settings.otel_exporter_otlp_endpoint:
        # Here, because whoever does not trace is to load nothing of it.
        let_in()
        from payment_service.telemetry import spans

        _tracing = spans.Tracing(settings, process)
    return _tracing is not None


def let_in() -> None:
    """From here on OpenTelemetry can be imported (payment_service/__init__.py keeps it out)."""
    if sys.modules.get("opentelemetry") is None:
        sys.modules.pop("opentelemetry", None)


def stop() -> None:
    """Sends what is still here, within a bound, and turns tracing off."""
    global _tracing
    tracing, _tracing = _tracing, None
    if tracing is not None:
        tracing.close()


def inside(name: str, kind: Kind = "internal") -> AbstractContextManager[Span]:
    """A span under the one that is open. Where none is, there is none: what the worker's beats ask
    every second belongs to nobody's request."""
    if _tracing is None:
        return _NOTHING
    return _tracing.inside(name, kind) or _NOTHING


def going_on(name: str, came: str | None, kind: Kind = "internal") -> AbstractContextManager[Span]:
    """A span under the one that is open; else under that of the W3C traceparent that `came`; else
    the first of a trace."""
    return _NOTHING if _tracing is None else _tracing.going_on(name, came, kind)


def message(name: str, came: str | None) -> Message | None:
    """A span of a message that goes out for that traceparent; the caller ends it. None where
    nothing is traced."""
    return None if _tracing is None else _tracing.message(name, came)


def traceparent() -> str | None:
    """The W3C traceparent of the open span, for who goes on with it elsewhere or later."""
    return None if _tracing is None else _tracing.traceparent()


def name_trace(_: object, __: str, event: Any) -> Any:
    """Adds the ids of the trace and of the span to a line of the log."""
    if _tracing is not None:
        event.update(_tracing.ids())
    return event
