"""A payment's time line: events, requests to providers and their look-ups, deliveries and webhooks,
oldest first, and what will happen next by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypedDict, cast

from sqlalchemy import BigInteger, bindparam, func, select

from payment_service.config import settings
from payment_service.domain import coming, money
from payment_service.domain.errors import PaymentNotFound
from payment_service.domain.events import iso
from payment_service.domain.vocabulary import ASKS, Actor, Trust
from payment_service.models import Delivery, Event
from payment_service.queries import Listed, Query
from payment_service.services import reading, upcoming
from payment_service.services.moves.lookups import LOOKUP
from payment_service.services.moves.operations import ADOPTED
from payment_service.services.moves.refund_holds import ASKED, NOT_APPROVED
from payment_service.services.moves.rows import (
    PAYMENT,
    TRANSACTION,
    TRANSACTION_COLUMNS,
    EventRow,
    PaymentRow,
    TransactionRow,
)
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


# Of each request the newest: what is stuck is looked up for ever.
LOOK_UPS = 20
_EACH = LOOKUP.alias()
_LAST_LOOK_UP = (
    select(func.max(_EACH.c.n))
    .where(_EACH.c.payment_id == LOOKUP.c.payment_id, _EACH.c.number == LOOKUP.c.number)
    .correlate(LOOKUP)
    .scalar_subquery()
)

_READ = Query(
    "read_timeline",
    select(
        *(PAYMENT.c.payment_id, PAYMENT.c.next_action),
        *upcoming.STANDING,
    ).where(
        PAYMENT.c.payment_id == bindparam("id", type_=BigInteger, required=True), reading.MAY_SEE
    ),
    lists={
        "events": Listed(
            [column for column in EVENT.c if column.name not in ("chain", "snapshot")],
            EVENT.c.payment_id == PAYMENT.c.payment_id,
            order=[EVENT.c.seq],
        ),
        "transactions": Listed(
            TRANSACTION_COLUMNS,
            TRANSACTION.c.payment_id == PAYMENT.c.payment_id,
            order=[TRANSACTION.c.number],
        ),
        "lookups": Listed(
            [column for column in LOOKUP.c if column.name != "answer"],
            LOOKUP.c.payment_id == PAYMENT.c.payment_id,
            LOOKUP.c.n > _LAST_LOOK_UP - LOOK_UPS,
            order=[LOOKUP.c.number, LOOKUP.c.n],
        ),
        # Who heard what, and who is still to hear it. Those done long ago are reaped.
        "deliveries": Listed(
            list(DELIVERY.c),
            DELIVERY.c.payment_id == PAYMENT.c.payment_id,
            order=[DELIVERY.c.seq, DELIVERY.c.sink],
        ),
        "webhooks": Listed(
            list(reading.SHOWN_OF_WEBHOOK),
            reading.WEBHOOK.c.payment_id == PAYMENT.c.payment_id,
            order=[reading.WEBHOOK.c.webhook_id],
        ),
    },
)


def tell(*, payment_id: int, rider: int | None = None) -> Timeline:
    """The time line. A `rider` finds only that rider's own, and what concerns riders of it.

    Raises PaymentNotFound.
    """
    found = _READ.row(id=payment_id, rider=rider)
    if found is None:
        raise PaymentNotFound(f"there is no payment {payment_id}")
    payment = cast(PaymentRow, found)
    transactions: list[TransactionRow] = found["transactions"]
    kinds = {row["number"]: row["type"].lower() for row in transactions}
    moments = [
        *(_event(row, json.loads(row["body"])["data"]) for row in found["events"]),
        *(_asked(row, payment) for row in transactions),
        *(_looked_up(row, kinds[row["number"]]) for row in found["lookups"]),
        *map(_owed, found["deliveries"]),
        *map(_heard, found["webhooks"]),
    ]
    if payment["imported"]:
        moments.append(_moment(payment["created_at"], "event", "payment.imported", None, None))
    if rider is not None:
        moments = [
            _for_rider(moment)
            for moment in moments
            if moment["kind"] in _RIDERS_KINDS and moment["what"] not in _AMONG_OPERATORS
        ]
    moments.sort(key=lambda moment: moment["at"])
    return {
        "payment_id": payment_id,
        "events": moments,
        "count": len(moments),
        "next": _next(payment, transactions),
    }


_RIDERS_KINDS = ("event", "transaction")
_AMONG_OPERATORS = (ASKED, NOT_APPROVED)
_RIDERS_DETAILS = frozenset(
    {
        *("seq", "from_status", "to_status", "reference", "amount", "currency", "status"),
        *("next_action", "failure_code"),
    }
)
"""Named one by one, so that what is told to others is not told to riders by accident."""


def _for_rider(moment: Moment) -> Moment:
    """Without who asked, what people wrote, and what is between us and the provider."""
    told = {name: moment["details"][name] for name in moment["details"].keys() & _RIDERS_DETAILS}
    return {**moment, "reason": None, "details": told}


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


def _event(row: EventRow, data: Mapping[str, Any]) -> Moment:
    return _moment(
        row["occurred_at"],
        "event",
        row["type"],
        row["actor"],
        row["reason"],
        seq=row["seq"],
        from_status=row["from_status"],
        to_status=row["to_status"],
        request_id=row["request_id"],
        caller=data.get("caller"),
        noted=data.get("noted"),
    )


def _asked(row: TransactionRow, payment: PaymentRow) -> Moment:
    waits = row["type"] in ASKS and row["status"] in OPEN
    fee, theirs = row["fee"], row["cause"] == ADOPTED
    return _moment(
        row["created_at"],
        "transaction",
        f"{row['type'].lower()} {'made at' if theirs else 'asked of'} {row['provider']}",
        Actor.PROVIDER if theirs else Actor.CALLER if row["cause"] is None else Actor.WORKER,
        row["cause"],
        reference=row["reference"],
        amount=money.format_amount(row["amount"], row["currency"]),
        currency=row["currency"],
        status=row["status"],
        provider_reference=row["provider_reference"],
        fee=None if fee is None else money.format_amount(fee, row["currency"]),
        next_action=payment["next_action"] if waits else None,
        failure_code=row["failure_code"],
        answered_ms=row.get("answered_ms"),
        http_status=row.get("http_status"),
        lookups=row["lookups"] or None,
        unresolved_for_long=_alarming(row) or None,
    )


def _looked_up(row: Mapping[str, Any], kind: str) -> Moment:
    found = row["found"].lower().replace("_", " ")
    return _moment(
        row["asked_at"],
        "lookup",
        f"look-up {row['n']} of {kind} {row['number']}: {found}",
        None,
        None,
        reference=row["reference"],
        number=row["number"],
        n=row["n"],
        found=row["found"],
        ms=row["ms"],
    )


def _alarming(row: TransactionRow) -> bool:
    """Open for longer than anybody should have to wait; the same as payments_unresolved counts."""
    waited = datetime.now(UTC) - row["created_at"]
    return row["status"] in OPEN and waited.total_seconds() > settings().resolution_alarm_seconds


def _owed(row: Mapping[str, Any]) -> Moment:
    if row["done_at"]:
        at, how = row["done_at"], "skipped" if row["parked_at"] else "delivered"
    elif row["parked_at"]:
        at, how = row["parked_at"], "parked"
    else:
        at, how = row["created_at"], "failed, to be tried again" if row["attempts"] else "waits"
    closed = row["done_at"] or row["parked_at"]
    return _moment(
        at,
        "delivery",
        f"event {row['seq']} to {row['sink']}: {how}",
        Actor.OPERATOR if how == "skipped" else Actor.WORKER,
        row["last_error"],
        sink=row["sink"],
        seq=row["seq"],
        attempts=row["attempts"],
        next_try_at=None if closed else iso(row["due_at"].astimezone(UTC)),
    )


def _heard(row: Mapping[str, Any]) -> Moment:
    signed = "" if row["trust"] == Trust.SIGNED else ", unsigned"
    return _moment(
        row["received_at"],
        "webhook",
        f"{row['event_type']} from {row['provider']}{signed}: {row['status']}",
        Actor.PROVIDER,
        row["error"],
        webhook_id=row["webhook_id"],
        number=row["number"],
        deliveries=row["deliveries"],
        attempts=row["attempts"],
        next_try_at=row["due_at"] and iso(row["due_at"].astimezone(UTC)),
    )


def _next(payment: Mapping[str, Any], transactions: list[TransactionRow]) -> Coming | None:
    """What will happen next by itself, and when."""
    steps = coming.steps(upcoming.standing_of(payment), upcoming.asked_of(transactions))
    return {"what": steps[0].what, "at": steps[0].at} if steps else None
