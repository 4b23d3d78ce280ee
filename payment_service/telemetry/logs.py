"""Logs: one JSON object a line on standard output, with the request's id in each, and no card
number in any."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO, cast

import structlog

Mask = Callable[[str], str]


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


def configure(*, level: str, output: str, mask: Mask) -> None:
    """Sets logging up for this process; `output` is json or console. Every text that is logged,
    a stack too, goes through `mask`."""

    def masked(_: Any, __: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        return {name: _each_text(value, mask) for name, value in event.items()}

    renderer: Any = (
        structlog.processors.JSONRenderer()  # in ASCII: no locale breaks it, no character hides
        if output == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        masked,
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


def _each_text(value: Any, mask: Mask) -> Any:
    """`value` with every text in it masked. Numbers are ids and amounts, and stay."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {name: _each_text(item, mask) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_each_text(item, mask) for item in value]
    return value
