"""What is parked, as the page of events shows it: by sink and error, and sent again or given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text

from payment_service.domain.callers import Caller
from payment_service.domain.operators import Refused
from payment_service.domain.pages import Deed
from payment_service.extensions import db
from payment_service.services import deliveries, rights
from payment_service.services.deliveries import DELIVERY, ERROR_HASH, PARKED, Which
from payment_service.services.sessions import Current

MOST = 10_000
"""Parked deliveries that are looked at, the longest parked first: a sink that was away for days has
more, and what is wrong with it shows in these."""
LONGEST_REASON = 500
"""Characters: it is kept with each delivery."""


class NoReason(Refused):
    """There is none, or it is too long."""


@dataclass(frozen=True)
class Group:
    """Parked deliveries of one sink that failed last for the same. `error_hash` and `newest` go
    into the form that acts on just these. `payment_id` is that of one
    of them."""

    sink: str
    error: str
    error_hash: str
    count: int
    oldest: datetime
    newest: datetime
    payment_id: int

    def which(self) -> Which:
        return Which(sink=self.sink, error_hash=self.error_hash, parked_until=self.newest)


@dataclass(frozen=True)
class Groups:
    """With `more`, others are parked beside the MOST that were looked at."""

    groups: tuple[Group, ...]
    more: bool


def groups() -> Groups:
    """What is parked, the largest group first."""
    looked_at = (
        select(
            DELIVERY.c.sink,
            func.coalesce(DELIVERY.c.last_error, "").label("error"),
            ERROR_HASH.label("error_hash"),
            DELIVERY.c.parked_at,
            DELIVERY.c.payment_id,
        )
        .where(PARKED)
        .order_by(DELIVERY.c.parked_at)
        .limit(MOST)
        .subquery()
    )
    column = looked_at.c
    grouped = (
        select(
            column.sink,
            column.error,
            column.error_hash,
            func.count().label("count"),
            func.min(column.parked_at).label("oldest"),
            func.max(column.parked_at).label("newest"),
            func.min(column.payment_id).label("payment_id"),
        )
        .group_by(column.sink, column.error, column.error_hash)
        .order_by(func.count().desc(), column.sink, column.error)
    )
    with db.engine.connect() as connection:
        rows = connection.execute(grouped).mappings().all()
    found = tuple(Group(**row) for row in rows)
    return Groups(found, sum(group.count for group in found) >= MOST)


# The index on done_at has what was delivered last at its end; a sink that heard nothing among that
# many is not looked for any further.
_LAST = text("""
    SELECT sink, max(done_at) AS at FROM (
        SELECT sink, done_at, parked_at FROM deliveries
        WHERE done_at IS NOT NULL ORDER BY done_at DESC LIMIT 5000) AS newest
    WHERE parked_at IS NULL GROUP BY sink
""")


def last_delivered() -> Mapping[str, datetime]:
    """When each sink last took an event, as far as that was lately."""
    with db.engine.connect() as connection:
        return {row.sink: row.at for row in connection.execute(_LAST)}


def resend(now: Current, *, which: Which, caller: Caller) -> int:
    """Has the relay try these again, as many times as at first. How many there were. Raises
    NotAllowed, OutOfReach."""
    rights.expect(now, Deed.DELIVER)
    return deliveries.deliver(which=which, caller=caller)


def skip(now: Current, *, which: Which, caller: Caller, reason: str) -> int:
    """The sink will not hear of these. How many there were. Raises NoReason, NotAllowed,
    OutOfReach."""
    rights.expect(now, Deed.SKIP)
    plain = " ".join(reason.split())
    if not plain:
        raise NoReason("Say why the sink will not hear of them: it is kept with each.")
    if len(plain) > LONGEST_REASON or not plain.isprintable():
        raise NoReason(f"A reason has at most {LONGEST_REASON} visible characters.")
    return deliveries.skip(which=which, caller=caller, reason=plain)
