"""Lets the suite change its environment while its threads connect to PostgreSQL.

libpq reads the environment with getenv when it connects, without Python's lock. A setenv in another
thread may move the list that it walks, and the process ends by a segmentation fault. So a change
waits until no thread is connecting. The service never changes its environment, so only the suite
needs this.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2

LONGEST_WAIT = 2.0
"""Seconds. libpq reads at the beginning, so whoever connects for longer waits for a server."""

_turn = threading.Condition(threading.RLock())
_connecting = 0
_changing = 0


@contextlib.contextmanager
def _counted() -> Iterator[None]:
    """Who wants to connect lets those go first that change: connects follow each other closely."""
    global _connecting
    with _turn:
        _turn.wait_for(lambda: not _changing)
        _connecting += 1
    try:
        yield
    finally:
        with _turn:
            _connecting -= 1
            _turn.notify_all()


def guard() -> None:
    """From here on putenv and connect keep out of each other's way. Once in a process."""
    if getattr(os.putenv, "keeps_away", False):
        return  # pytest may read its conftest twice
    os.putenv = _alone(os.putenv)
    os.unsetenv = _alone(os.unsetenv)
    connect = psycopg2._connect

    def counted(*args: Any, **kwargs: Any) -> Any:
        with _counted():
            return connect(*args, **kwargs)

    psycopg2._connect = counted


def _alone(change: Callable[..., None]) -> Callable[..., None]:
    def when_nobody_connects(*args: Any) -> None:
        global _changing
        with _turn:
            _changing += 1
            try:
                _turn.wait_for(lambda: not _connecting, LONGEST_WAIT)
                change(*args)
            finally:
                _changing -= 1
                _turn.notify_all()

    when_nobody_connects.keeps_away = True  # type: ignore[attr-defined]
    return when_nobody_connects
