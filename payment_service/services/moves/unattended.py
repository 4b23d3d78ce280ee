"""Moves that the worker makes by itself: nobody waits for them, and nobody is told of an error.

What can't even be begun keeps its time in its row. A beat takes those first that are due the
longest, so as many of them as its batch holds would be all that is ever tried. They make way for a
while, in the memory of this process: after a restart each is tried once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from flask import current_app
from sqlalchemy import Connection

from payment_service.domain.errors import DomainError
from payment_service.extensions import db
from payment_service.services.moves import steps
from payment_service.services.moves.steps import Move

log = structlog.get_logger(__name__)

MAKES_WAY_SECONDS = 60.0
"""As long as what was asked in vain waits the first time (services/moves/refund_outcomes)."""


def carry_out(*, payment_id: int, begin: Callable[[Connection], Move | None], failed: str) -> bool:
    """Begins a move of the payment in a transaction of its own, and carries it out. False if
    `begin` found none to make, or if it went wrong, which is logged as `failed`. If it was
    `begin` that went wrong, making_way(failed) names the payment for a while."""
    try:
        with trying(failed, payment_id), db.engine.begin() as connection:
            move = begin(connection)
        if move is None:
            return False
        steps.carry_out(move)
    except DomainError as error:
        # Not asked this time; what stands in the rows brings it back.
        log.warning(failed, payment_id=payment_id, why=error.code)
        return False
    except Exception:
        # One that goes wrong must not keep the others waiting.
        log.exception(failed, payment_id=payment_id)
        return False
    return True


def making_way(failed: str) -> list[int]:
    """The numbers that a beat leaves out now, because what it tried with them went wrong lately."""
    numbers, now = _in_vain(failed), time.monotonic()
    for number, at in list(numbers.items()):
        if now - at >= MAKES_WAY_SECONDS:
            numbers.pop(number, None)
    return list(numbers)


@contextmanager
def trying(failed: str, number: int) -> Iterator[None]:
    """If what is inside goes wrong, the number makes way. The error goes on."""
    try:
        yield
    except Exception:
        _in_vain(failed)[number] = time.monotonic()
        raise


def _in_vain(failed: str) -> dict[int, float]:
    of_all: dict[str, dict[int, float]] = current_app.extensions.setdefault("tried_in_vain", {})
    return of_all.setdefault(failed, {})
