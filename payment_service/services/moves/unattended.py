"""Moves that the worker makes by itself: nobody waits for them, and nobody is told of an error."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from sqlalchemy import Connection

from payment_service.domain.errors import DomainError
from payment_service.extensions import db
from payment_service.services.moves import steps
from payment_service.services.moves.steps import Move

log = structlog.get_logger(__name__)


def carry_out(*, payment_id: int, begin: Callable[[Connection], Move | None], failed: str) -> bool:
    """Begins a move of the payment in a transaction of its own, and carries it out. False if
    `begin` found none to make, or if it went wrong, which is logged as `failed`."""
    try:
        with db.engine.begin() as connection:
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
