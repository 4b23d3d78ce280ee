"""Deliveries as an operator sees them: what is pending, what is parked, deliver it, skip it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict, cast

import structlog
from sqlalchemy import ColumnElement, Connection, func, select, text, tuple_, update

from payment_service.config import settings
from payment_service.domain.acts import Act
from payment_service.domain.callers import Caller
from payment_service.domain.events import iso
from payment_service.extensions import db
from payment_service.models import Delivery, Event, SinkTotal
from payment_service.outbox import routes
from payment_service.services import audit_log

log = structlog.get_logger(__name__)

DELIVERY = Delivery.__table__
EVENT = Event.__table__
TOTAL = SinkTotal.__table__

_OPEN = DELIVERY.c.done_at.is_(None)
PARKED = DELIVERY.c.parked_at.is_not(None) & _OPEN
ERROR_HASH = func.encode(
    func.sha256(func.convert_to(func.coalesce(DELIVERY.c.last_error, ""), "UTF8")), "hex"
)
"""Of what a delivery failed for last: a text of others, which no form would send back unchanged."""


@dataclass(frozen=True)
class Which:
    """Deliveries to act on: of this sink, this payment, this event of it; None is any.

    `error_hash` is that of what they failed for last (ERROR_HASH); with `parked_until` they are
    those parked by then only: what a page showed. Whoever sends its form twice acts once, because
    what is parked again by then was so later.
    """

    sink: str | None = None
    payment_id: int | None = None
    seq: int | None = None
    error_hash: str | None = None
    parked_until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The conditions on deliveries that choose these, for WHERE."""
        found: list[ColumnElement[bool]] = [
            DELIVERY.c[name] == value
            for name in ("sink", "payment_id", "seq")
            if (value := getattr(self, name)) is not None
        ]
        if self.error_hash is not None:
            found.append(ERROR_HASH.in_([self.error_hash]))
        if self.parked_until is not None:
            found.append(DELIVERY.c.parked_at <= self.parked_until)
        return found

    def told(self) -> Mapping[str, Any]:
        """As it is written down."""
        found: dict[str, Any] = {"sink": self.sink, "payment_id": self.payment_id, "seq": self.seq}
        if self.error_hash is not None:
            found["error_hash"] = self.error_hash
        if self.parked_until is not None:
            found["parked_until"] = iso(self.parked_until.astimezone(UTC))
        return found


@dataclass(frozen=True)
class Standing:
    """One sink: what is owed to it and is not parked, what is parked, how long the oldest that
    could go has waited in seconds, and what it ever took and was parked."""

    sink: str
    pending: int
    parked: int
    lag_seconds: float
    delivered_total: int
    parked_total: int


class Parked(TypedDict):
    """A delivery that waits for an operator, with its event's type."""

    sink: str
    payment_id: int
    seq: int
    type: str
    attempts: int
    parked_at: datetime
    last_error: str | None


def parked(*, which: Which, limit: int = 100, error: str | None = None) -> list[Parked]:
    """The parked deliveries, longest parked first, each with its event's type; with `error` those
    that failed last for that."""
    same = () if error is None else (DELIVERY.c.last_error == error,)
    query = (
        select(DELIVERY, EVENT.c.type)
        .join(EVENT)
        .where(PARKED, *which.conditions(), *same)
        .order_by(DELIVERY.c.parked_at, DELIVERY.c.payment_id, DELIVERY.c.sink, DELIVERY.c.seq)
        .limit(limit)
    )
    with db.engine.connect() as connection:
        return [cast(Parked, dict(row)) for row in connection.execute(query).mappings()]


def deliver(*, which: Which, caller: Caller) -> int:
    """Parked ones, and ones that failed and wait for their next try, are due now, with all their
    attempts before them. How many there were; if any, who did it is written down."""
    query = (
        update(DELIVERY)
        .where(_OPEN, DELIVERY.c.attempts > 0, *which.conditions())
        .values(parked_at=None, attempts=0, due_at=func.now())
    )
    with db.engine.begin() as connection:
        count: int = connection.execute(query).rowcount
        _write_down(connection, Act.DELIVERIES_DELIVERED, which, count, caller)
    log.info("deliveries_due_again", count=count, **which.told())
    return count


def skip(*, which: Which, caller: Caller, reason: str, waiting: bool = False) -> int:
    """The sink will not hear of these parked ones, nor, with `waiting`, of any that it is owed;
    what waits behind them may go. How many there were; if any, who did it is written down."""
    query = (
        update(DELIVERY)
        .where(_OPEN if waiting else PARKED, *which.conditions())
        .values(
            done_at=func.now(),
            parked_at=func.coalesce(DELIVERY.c.parked_at, func.now()),
            last_error="skipped: " + reason,
        )
        .returning(DELIVERY.c.sink, DELIVERY.c.payment_id)
    )
    with db.engine.begin() as connection:
        skipped = connection.execute(query).all()
        behind = tuple_(DELIVERY.c.sink, DELIVERY.c.payment_id).in_(
            {(row.sink, row.payment_id) for row in skipped}
        )
        freed = update(DELIVERY).where(_OPEN, DELIVERY.c.parked_at.is_(None), behind)
        if skipped:
            connection.execute(freed.values(due_at=func.now()))
        _write_down(connection, Act.DELIVERIES_SKIPPED, which, len(skipped), caller, reason)
    log.info("deliveries_skipped", count=len(skipped), reason=reason, **which.told())
    return len(skipped)


def _write_down(
    connection: Connection,
    act: Act,
    which: Which,
    count: int,
    caller: Caller,
    reason: str | None = None,
) -> None:
    if count:
        audit_log.write(
            actor=caller.name,
            act=act,
            reason=reason,
            body={**which.told(), "count": count},
            session_id=caller.session_id,
            address=caller.address,
            connection=connection,
        )


# Both partial indexes hold open deliveries only, however many were ever delivered. What waits
# behind a parked one is pending, but no sign of a relay that lags.
_STANDING = text("""
    SELECT sink, count(*) AS pending,
           extract(epoch FROM now() - min(created_at) FILTER (
               WHERE (sink, payment_id) NOT IN (
                   SELECT sink, payment_id FROM deliveries
                   WHERE parked_at IS NOT NULL AND done_at IS NULL))) AS lag
    FROM deliveries WHERE done_at IS NULL AND parked_at IS NULL GROUP BY sink
""")


def standings() -> list[Standing]:
    """All sinks that are on, and others that are still owed something."""
    counted = (
        select(DELIVERY.c.sink, func.count().label("parked"))
        .where(PARKED)
        .group_by(DELIVERY.c.sink)
    )
    with db.engine.connect() as connection:
        pending = {row.sink: row for row in connection.execute(_STANDING)}
        parked_now = {row.sink: row.parked for row in connection.execute(counted)}
        totals = {row.sink: row for row in connection.execute(select(TOTAL))}
    on = routes.sinks_on(settings())
    found = []
    for sink in sorted({*on, *pending, *parked_now, *totals}):
        waiting, total = pending.get(sink), totals.get(sink)
        # Nobody is waiting for a sink that is off.
        lag = float(waiting.lag or 0) if waiting and sink in on else 0.0
        found.append(
            Standing(
                sink=sink,
                pending=waiting.pending if waiting else 0,
                parked=parked_now.get(sink, 0),
                lag_seconds=max(lag, 0.0),
                delivered_total=total.delivered if total else 0,
                parked_total=total.parked if total else 0,
            )
        )
    return found


def describe(row: Parked) -> str:
    """One parked delivery as a line."""
    return (
        f"{row['sink']} payment {row['payment_id']} event {row['seq']} {row['type']}: parked "
        f"{iso(row['parked_at'].astimezone(UTC))} after {row['attempts']} attempts: "
        f"{row['last_error']}"
    )
