"""What a module logs, as events. Its own logger may be bound to the output of a test before."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture


@contextmanager
def logged(module: ModuleType) -> Iterator[list[Any]]:
    """The events that `module.log` is told meanwhile."""
    capture = LogCapture()
    # Of every level, whatever LOG_LEVEL the last app had.
    every = structlog.make_filtering_bound_logger(logging.NOTSET)
    logger = structlog.wrap_logger(
        structlog.ReturnLogger(), processors=[capture], wrapper_class=every
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "log", logger.bind())
        yield capture.entries
