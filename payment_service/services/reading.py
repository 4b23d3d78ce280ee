"""Reads one payment or refund, in one round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    func,
    not_,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from payment_service.domain.errors import (
    DisputeNotFound,
    DomainError,
    PaymentNotFound,
    RefundNotFound,
)
from payment_service.domain.vocabulary import Purpose
from payment_service.models import AuditEntry, Dispute, DisputeMovement, Webhook
from payment_service.queries import Listed, Query
from payment_service.services.moves import due, pages
from payment_service.services.moves.rows import PAYMENT, REFUND, TRANSACTION

ACT = AuditEntry.__table__
WEBHOOK = Webhook.__table__
DISPUTE, MOVEMENT = Dispute.__table__, DisputeMovement.__table__

Shown = Mapping[str, Any]
"""A row with the columns that the wire shows."""


@dataclass(frozen=True)
class Seen:
    """What was read, and which `edition` of it this is. `row` is None where the reader knows this
    edition already."""

    edition: str
    row: Shown | None


def edition(table: Table, *parts: str) -> ColumnElement[str]:
    """A text that is another one as soon as anything shown changes of a payment with its requests,
    its refunds and its receipt, or of a refund.

    A payment's version counts its moves, and nothing that is shown changes without one. A refund
    has only its time; beside a version, that is for a restored backup, after which a version comes
    a second time with other news. (A time line shows more: look-ups, deliveries and what is
    overdue.)
    """
    moment = func.extract("epoch", table.c.updated_at)
    return func.concat_ws(".", *(table.c[name] for name in parts), moment)


_KNOWN = bindparam("known", type_=ARRAY(Text), required=True)
_ID = bindparam("id", type_=BigInteger, required=True)

_RIDER = bindparam("rider", type_=BigInteger, required=True)


def of_rider(rider: BindParameter[int]) -> ColumnElement[bool]:
    """Whether the payment is that rider's: what a rider may see is decided in each WHERE, so that
    another's is not there, for an answer as for a tag."""
    return or_(PAYMENT.c.rider_id == rider, PAYMENT.c.user_id == rider)


MAY_SEE = or_(_RIDER.is_(None), of_rider(_RIDER))
"""Of a payment, by the parameter `rider`: None is whoever may see all."""

OF_PAYMENT = edition(PAYMENT, "payment_id", "version")
OF_REFUND = edition(REFUND, "refund_id")
OF_DISPUTE = edition(DISPUTE, "dispute_id")
IS_KNOWN = any_(_KNOWN) == OF_PAYMENT


def _all_but(table: Table, *names: str) -> list[Column[Any]]:
    return [column for column in table.c if column.name not in names]


# What is ours alone is not read for others.
SHOWN_OF_PAYMENT = _all_but(
    PAYMENT,
    *("live", "rare_status", "parent_payment_id", "share", "authorized", "refund_pending"),
    *("imported", "caller", "payment_token", "token", "fare", "version", "audit_head"),
)
SHOWN_OF_REFUND = _all_but(REFUND, "transaction_number")
SHOWN_OF_DISPUTE = _all_but(DISPUTE, "due_at")
SHOWN_OF_WEBHOOK = _all_but(WEBHOOK, "body", "headers")
SHOWN_OF_ACT = _all_but(ACT, "chain")
_REQUESTS = Listed(
    _all_but(
        TRANSACTION,
        *("payment_id", "number", "amount_approved", "provider_account", "provider_reference"),
        *("fee", "failure_message", "cause", "request_id", "occurred_at", "send_before", "due_at"),
        *("lookups", "not_found_at", "leased_until", "answered_ms", "http_status", "answer"),
    ),
    TRANSACTION.c.payment_id == PAYMENT.c.payment_id,
    order=[TRANSACTION.c.number],
)


def _detail(name: str, which: Any) -> Query:
    """The payment of that id, with its requests unless its edition is known."""
    query = select(*SHOWN_OF_PAYMENT, OF_PAYMENT.label("edition"))
    query = query.where(PAYMENT.c.payment_id == which, MAY_SEE)
    return Query(name, query, lists={"transactions": _REQUESTS}, unless=IS_KNOWN)


def _standing_for(column: str) -> Any:
    """The payment for the fare of a trip, or for an order: the live one, else the newest. Two
    questions, because live and dead ones each have an index of their own."""
    fare = and_(PAYMENT.c[column] == _ID, PAYMENT.c.purpose == Purpose.FARE)
    live = select(PAYMENT.c.payment_id).where(due.live_of({column: _ID}, Purpose.FARE))
    dead = select(PAYMENT.c.payment_id).where(fare, not_(PAYMENT.c.live))
    newest_first = (PAYMENT.c.created_at.desc(), PAYMENT.c.payment_id.desc())
    asked = (live, dead.order_by(*newest_first).limit(1))
    return func.coalesce(
        *(one.where(PAYMENT.c.share == 0).correlate(None).scalar_subquery() for one in asked)
    )


_BY_ID = _detail("read_payment", _ID)
_OF = {column: _detail(f"read_{column}", _standing_for(column)) for column in due.PLACES}
_BY_REFERENCE = _detail(
    "read_reference",
    select(TRANSACTION.c.payment_id)
    .where(TRANSACTION.c.provider_reference == bindparam("reference", type_=Text, required=True))
    .order_by(TRANSACTION.c.payment_id.desc())
    .limit(1)
    .correlate(None)
    .scalar_subquery(),
)
_ONE_REFUND = Query(
    "read_refund",
    select(*SHOWN_OF_REFUND, OF_REFUND.label("edition")).where(
        REFUND.c.refund_id == _ID,
        select(PAYMENT.c.payment_id)
        .where(PAYMENT.c.payment_id == REFUND.c.payment_id, MAY_SEE)
        .exists(),
    ),
)


_ONE_DISPUTE = Query(
    "read_dispute",
    select(*SHOWN_OF_DISPUTE, OF_DISPUTE.label("edition")).where(
        DISPUTE.c.dispute_id == _ID,
        select(PAYMENT.c.payment_id)
        .where(PAYMENT.c.payment_id == DISPUTE.c.payment_id, MAY_SEE)
        .exists(),
    ),
    lists={
        "movements": Listed(
            _all_but(MOVEMENT, "provider", "dispute_id", "payment_id", "created_at"),
            MOVEMENT.c.dispute_id == DISPUTE.c.dispute_id,
            order=[MOVEMENT.c.occurred_at, MOVEMENT.c.provider_movement_id],
        )
    },
)


def get_payment(*, payment_id: int, known: Sequence[str] = (), rider: int | None = None) -> Seen:
    """A payment with its `transactions` and all that its payer is led by, unless its edition is
    `known`. Raises PaymentNotFound.

    Here and below, a `rider` finds only that rider's own.
    """
    missing = PaymentNotFound(f"there is no payment {payment_id}")
    found = _BY_ID.row(id=payment_id, known=list(known), rider=rider)
    seen = _seen(found, known, missing)
    if seen.row is None or seen.row["next_action"] is None:
        return seen
    told = pages.told(seen.row, pages.page_of(seen.row))
    return Seen(seen.edition, {**seen.row, "next_action": told})


def get_of(*, column: str, value: int, known: Sequence[str] = (), rider: int | None = None) -> Seen:
    """The payment for the fare of a trip, or for an order: the live one, else the newest. What else
    was paid for it, such as a tip, is another payment. Raises PaymentNotFound."""
    missing = PaymentNotFound(f"there is no payment for {column.removesuffix('_id')} {value}")
    return _seen(_OF[column].row(id=value, known=list(known), rider=rider), known, missing)


def get_by_transaction(
    *, provider_reference: str, known: Sequence[str] = (), rider: int | None = None
) -> Seen:
    """The payment that the provider knows under this reference. Raises PaymentNotFound."""
    found = _BY_REFERENCE.row(reference=provider_reference, known=list(known), rider=rider)
    return _seen(found, known, PaymentNotFound("no payment has this transaction"))


def get_refund(*, refund_id: int, known: Sequence[str] = (), rider: int | None = None) -> Seen:
    """One refund. Raises RefundNotFound."""
    missing = RefundNotFound(f"there is no refund {refund_id}")
    found = _ONE_REFUND.row(id=refund_id, rider=rider)
    return _seen(found and shown_refund(found, rider), known, missing)


def get_dispute(*, dispute_id: int, known: Sequence[str] = (), rider: int | None = None) -> Seen:
    """One dispute with its `movements`. Raises DisputeNotFound."""
    missing = DisputeNotFound(f"there is no dispute {dispute_id}")
    return _seen(_ONE_DISPUTE.row(id=dispute_id, rider=rider), known, missing)


def shown_refund(row: Shown, rider: int | None) -> Shown:
    """A refund's row as whoever asks may see it. What people wrote is for the house: a rider reads
    no reasons, here as in the time line."""
    return row if rider is None else {**row, "reason": None}


def _seen(found: Shown | None, known: Sequence[str], missing: DomainError) -> Seen:
    if found is None:
        raise missing
    edition = str(found["edition"])
    return Seen(edition, None if edition in known else found)
