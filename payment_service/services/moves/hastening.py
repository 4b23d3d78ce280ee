"""Has a request looked up at once, because somebody says that there is news of it."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, func, update

from payment_service.services.moves.rows import TRANSACTION


def hasten(connection: Connection, *, payment_id: int, number: int) -> None:
    """The request is due now. One that is looked up at this moment is looked up again after that:
    however many say so, one asks at a time (resolution's lease). If nothing is seen yet, it is
    looked up as often again as what has just begun: the news was not heard before."""
    now = datetime.now(UTC)
    connection.execute(
        update(TRANSACTION)
        .where(TRANSACTION.c.payment_id == payment_id, TRANSACTION.c.number == number)
        .values(due_at=func.least(TRANSACTION.c.due_at, now), lookups=0)
    )
