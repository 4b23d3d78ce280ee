"""A payment's time line: events, requests to providers and deliveries, oldest first, and what
will happen next by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypedDict

from sqlalchemy import Connection, select

from payment_service.config import settings
from payment_service.domain import money
from payment_service.domain.errors import PaymentNotFound
from payment_service.domain.events import iso
from payment_service.domain.vocabulary import Actor, PaymentStatus
from payment_service.extensions import db
from payment_service.models import Delivery, Event
from payment_service.services.moves import rows
from payment_service.services.moves.outcomes import ASKS
from payment_service.services.moves.rows import PaymentRow, TransactionRow
from payment_service.services.moves.transitions import OPEN

EVENT = Event.__table__
DELIVERY = Delivery.__table__


class Moment(TypedDict):
    """One entry of the time line."""

    at: datetime
    kind: str
    what: str
    actor: str | None
    reason: str | None
    details: Mapping[str, object]


class Coming(TypedDict):
    """What will happen by itself, and when."""

    what: str
    at: datetime


class Timeline(TypedDict):
    """What happened, oldest first, and what comes next."""

    payment_id: int
    events: list[Moment]
    count: int
    next: Coming | None


def tell(*, payment_id: int) -> Timeline:
    """The time line. Raises PaymentNotFound."""
    with db.engine.connect() as connection:
        payment = rows.read_payment(connection, payment_id)
        if payment is None:
            raise PaymentNotFound(f"there is no payment {payment_id}")
        transactions = rows.read_transactions(connection, payment_id)
        moments = [
            *_events(connection, payment_id),
            *(_asked(row, payment) for row in transactions),
            *_deliveries(connection, payment_id),
        ]
    if payment["imported"]:
        moments.append(_moment(payment["created_at"], "event", "payment.imported", None, None))
    moments.sort(key=lambda moment: moment["at"])
    return {
        "payment_id": payment_id,
        "events": moments,
        "count": len(moments),
        "next": _next(payment, transactions),
    }


def _moment(
    at: datetime, kind: str, what: str, actor: str | None, reason: str | None, **details: Any
) -> Moment:
    return {
        "at": at,
        "kind": kind,
        "what": what,
        "actor": actor,
        "reason": reason,
        "details": {name: value for name, value in details.items() if value is not None},
    }


def _events(connection: Connection, payment_id: int) -> list[Moment]:
    query = select(EVENT).where(EVENT.c.payment_id == payment_id).order_by(EVENT.c.seq)
    return [_event(row, json.loads(row.body)["data"]) for row in connection.execute(query)]


def _event(row: Any, data: Mapping[str, Any]) -> Moment:
    return _moment(
        row.occurred_at,
        "event",
        row.type,
        row.actor,
        row.reason,
        seq=row.seq,
        from_status=row.from_status,
        to_status=row.to_status,
        request_id=row.request_id,
        caller=data.get("caller"),
        noted=data.get("noted"),
    )


def _asked(row: TransactionRow, payment: PaymentRow) -> Moment:
    waits = row["type"] in ASKS and row["status"] in OPEN
    fee = row["fee"]
    return _moment(
        row["created_at"],
        "transaction",
        f"{row['type'].lower()} asked of {row['provider']}",
        Actor.CALLER if row["cause"] is None else Actor.WORKER,
        row["cause"],
        reference=row["reference"],
        amount=money.format_amount(row["amount"], row["currency"]),
        currency=row["currency"],
        status=row["status"],
        provider_reference=row["provider_reference"],
        fee=None if fee is None else money.format_amount(fee, row["currency"]),
        next_action=payment["next_action"] if waits else None,
        failure_code=row["failure_code"],
        lookups=row["lookups"] or None,
        unresolved_for_long=_alarming(row) or None,
    )


def _alarming(row: TransactionRow) -> bool:
    """Open for longer than anybody should have to wait; the same as payments_unresolved counts."""
    waited = datetime.now(UTC) - row["created_at"]
    return row["status"] in OPEN and waited.total_seconds() > settings().resolution_alarm_seconds


def _deliveries(connection: Connection, payment_id: int) -> list[Moment]:
    """Who heard what, and who is still to hear it. Those done long ago are reaped."""
    query = (
        select(DELIVERY)
        .where(DELIVERY.c.payment_id == payment_id)
        .order_by(DELIVERY.c.seq, DELIVERY.c.sink)
    )
    return [_owed(row) for row in connection.execute(query)]


def _owed(row: Any) -> Moment:
    if row.done_at:
        at, how = row.done_at, "skipped" if row.parked_at else "delivered"
    elif row.parked_at:
        at, how = row.parked_at, "parked"
    else:
        at, how = row.created_at, "failed, to be tried again" if row.attempts else "waits"
    return _moment(
        at,
        "delivery",
        f"event {row.seq} to {row.sink}: {how}",
        Actor.OPERATOR if how == "skipped" else Actor.WORKER,
        row.last_error,
        sink=row.sink,
        seq=row.seq,
        attempts=row.attempts,
        next_try_at=None if row.done_at or row.parked_at else iso(row.due_at.astimezone(UTC)),
    )


def _next(payment: PaymentRow, transactions: list[TransactionRow]) -> Coming | None:
    """What will happen next by itself, and when."""
    coming: list[Coming] = [
        {
            "what": f"look up {row['reference']} at {row['provider']}"
            + ("" if row["status"] in OPEN else " once more, to be sure that it was not received"),
            "at": due_at,
        }
        for row in transactions
        if (due_at := row["due_at"]) is not None
    ]
    if payment["expires_at"] is not None:
        what: dict[str, str] = {
            PaymentStatus.AUTHORIZED: "the hold expires and is voided",
            PaymentStatus.REQUIRES_ACTION: "the wait for the payer ends",
        }
        words = what.get(payment["status"], "the surplus money is given back")
        coming.append({"what": words, "at": payment["expires_at"]})
    return min(coming, key=lambda item: item["at"], default=None)
