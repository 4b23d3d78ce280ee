"""Gives back what was held for refunds that nobody decided on in time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import structlog
from sqlalchemy import select

from payment_service.domain.callers import WORKER
from payment_service.domain.four_eyes import RequestState
from payment_service.extensions import db
from payment_service.services import refunds_asked_for as asked
from payment_service.services.moves import unattended
from payment_service.services.moves.refund_holds import REQUEST

log = structlog.get_logger(__name__)

BATCH = 50

_FAILED = "request_not_lapsed"
RESTORED = "A backup was restored, and nobody here knows what was decided since it was made."
"""What is said to requests that lapse because of it."""


def run_once() -> dict[str, int]:
    """Lapses what is over. Any number of workers may run it at once: each takes a payment and its
    request under lock, and whoever comes second finds it closed. What can't be lapsed makes way."""
    query = (
        select(REQUEST.c.request_id)
        .where(
            REQUEST.c.state == RequestState.OPEN,
            REQUEST.c.expires_at <= datetime.now(UTC),
            REQUEST.c.request_id.not_in(unattended.making_way(_FAILED)),
        )
        .order_by(REQUEST.c.expires_at)
        .limit(BATCH)
    )
    with db.engine.connect() as connection:
        due = list(connection.execute(query).scalars())
    lapsed = sum(map(_lapse, due))
    return {"lapsed": lapsed, "more": len(due) // BATCH}


def waiting() -> set[int]:
    """The payments of which a refund waits for a decision."""
    query = select(REQUEST.c.payment_id).where(REQUEST.c.state == RequestState.OPEN)
    with db.engine.connect() as connection:
        return set(connection.execute(query).scalars())


def lapse_all(payment_ids: Collection[int] | None = None) -> int:
    """Lapses all that wait for a decision, of these payments if any are named, before their time.

    After a restore that can't know what was decided since: what was approved was given, and would
    be given once more.
    """
    query = select(REQUEST.c.request_id).where(REQUEST.c.state == RequestState.OPEN)
    if payment_ids is not None:
        query = query.where(REQUEST.c.payment_id.in_(payment_ids))
    with db.engine.connect() as connection:
        found = list(connection.execute(query.order_by(REQUEST.c.request_id)).scalars())
    return sum(_lapse(request_id, early=RESTORED) for request_id in found)


def _lapse(request_id: int, *, early: str | None = None) -> bool:
    """`early` is why it lapses before its time."""
    try:
        with unattended.trying(_FAILED, request_id), db.engine.begin() as connection:
            payment, request = asked.locked(connection, request_id)
            if request["state"] != RequestState.OPEN:
                return False
            if request["expires_at"] > datetime.now(UTC) and not early:
                return False
            asked.end(connection, payment, request, RequestState.LAPSED, WORKER, early)
    except Exception:
        # One that goes wrong must not keep the others waiting.
        log.exception(_FAILED, request_id=request_id)
        return False
    return True
