"""Logs: one JSON object a line on standard output, with the request's id in each, and nothing in
any that is secret or personal (masking.py)."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from typing import Any, TextIO, cast

import orjson
import structlog

from payment_service.telemetry import masking, traces


class Unfailing(io.TextIOBase):
    """The file, but that a line which can't be written is lost: whoever read it has gone, or the
    disk is full. A request must not fail for that, least of all when its money has moved."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()


class MaskedLines(logging.Formatter):
    """Lines as a library with a handler of its own writes them (gunicorn), but masked."""

    def __init__(self, line: str, date: str, mask: masking.MaskText) -> None:
        super().__init__(line, date)
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        return masking.of_text(super().format(record), self._mask)


def configure(*, level: str, output: str, mask: masking.MaskText) -> None:
    """Sets logging up for this process; `output` is json or console. Every text that is logged,
    a stack too, is masked, and goes through `mask` besides."""
    renderer: Any = (
        structlog.processors.JSONRenderer(_line)
        if output == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        masking.event_mask(mask),
        # Behind it: what they write needs no look.
        traces.name_trace,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, Unfailing(sys.stdout))),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared)
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)


def _line(event: dict[str, Any], **_: Any) -> str:
    """The event in ASCII: no locale breaks it, no character hides in it. orjson, because it takes
    a tenth of the time."""
    try:
        line = orjson.dumps(event).decode()
    except TypeError:  # half of a character that needs two, an integer of more than 64 bits
        return json.dumps(event)
    return line if line.isascii() and "\x7f" not in line else json.dumps(event)
