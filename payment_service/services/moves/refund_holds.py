"""What is held of a payment for a refund on which somebody still has to decide.

It is in refund_pending, as a refund that is under way, so that nobody else gives it back meanwhile.
Locks are taken in the order payment, request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict, cast

from sqlalchemy import Connection, insert, select, update

from payment_service.domain.callers import WORKER, Caller
from payment_service.domain.four_eyes import LAPSES_AFTER, RequestState
from payment_service.domain.vocabulary import TransactionStatus
from payment_service.models import RefundRequest
from payment_service.services.moves import paid_twice, rows, transitions
from payment_service.services.moves.rows import PaymentRow, RefundRow, TransactionRow
from payment_service.services.moves.transitions import News

REQUEST = RefundRequest.__table__
ASKED, NOT_APPROVED = "refund.asked", "refund.not_approved"
"""The events. What is approved is a refund.requested."""


class RefundRequestRow(TypedDict):
    """A refund that somebody asked for; amounts in minor units."""

    request_id: int
    payment_id: int
    amount: int
    currency: str
    reason: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    state: str
    decided_by: str | None
    decided_at: datetime | None
    decision: str | None
    refund_id: int | None


@dataclass(frozen=True)
class Approved:
    """A locked request that is being approved, and what is said to it."""

    request: RefundRequestRow
    decision: str | None

    def told(self) -> Mapping[str, Any]:
        """What the event of the refund says of it."""
        return _told(self.request, RequestState.APPROVED, self.decision)


def ask(
    connection: Connection, *, payment: PaymentRow, amount: int, reason: str, caller: Caller
) -> RefundRequestRow:
    """Holds the amount of the locked payment, of which there is so much left and no open
    request."""
    moment = datetime.now(UTC)
    values = {
        "payment_id": payment["payment_id"],
        "amount": amount,
        "currency": payment["currency"],
        "reason": reason,
        "asked_by": caller.name,
        "asked_at": moment,
        "expires_at": moment + LAPSES_AFTER,
    }
    adding = insert(REQUEST).values(values).returning(*REQUEST.c)
    request = request_row(connection.execute(adding).mappings().one())
    _move(connection, payment, amount, moment, News(ASKED, caller, reason, _told(request)))
    return request


def give_back(
    connection: Connection,
    *,
    payment: PaymentRow,
    request: RefundRequestRow,
    state: RequestState,
    caller: Caller,
    decision: str | None,
) -> RefundRequestRow:
    """What was held for the open request is free again. Both are locked."""
    moment = datetime.now(UTC)
    news = News(NOT_APPROVED, caller, decision, _told(request, state, decision))
    _move(connection, payment, -request["amount"], moment, news)
    return _close(connection, request, state, caller, moment, decision)


def turn_into(
    connection: Connection, approved: Approved, *, refund: RefundRow, caller: Caller
) -> None:
    """What was held is held by the refund from here on, which was begun in this transaction."""
    _close(
        connection,
        approved.request,
        RequestState.APPROVED,
        caller,
        refund["created_at"],
        approved.decision,
        refund_id=refund["refund_id"],
    )


def make_room(connection: Connection, payment: PaymentRow, given: TransactionRow) -> PaymentRow:
    """The locked payment as it stands once a refund finds its room again that had failed, and of
    which its provider says by now that it was `given`.

    Nothing is held for it any more. Where the payment's open request holds what it needs, that one
    lapses: approved, it would give back once more what went back already. It is no act of
    anybody's, so the payment's events tell of it, and the audit log does not.
    """
    if given["status"] != TransactionStatus.FAILED or paid_twice.is_beside(given):
        return payment
    if payment["refunded"] + payment["refund_pending"] + given["amount"] <= payment["captured"]:
        return payment
    return lapse(
        connection,
        payment,
        f"The refund {given['reference']} had counted as failed, and was given after all: there is"
        " no room for this one. Ask anew for what is still to go back.",
    )


def lapse(connection: Connection, payment: PaymentRow, why: str) -> PaymentRow:
    """The locked payment as it stands once its open request, if it has one, lapsed."""
    request = find_open(connection, payment["payment_id"])
    if request is None:
        return payment
    lapsed = RequestState.LAPSED
    give_back(
        connection, payment=payment, request=request, state=lapsed, caller=WORKER, decision=why
    )
    return rows.read_payment(connection, payment["payment_id"]) or payment


def read(connection: Connection, request_id: int, *, lock: bool = False) -> RefundRequestRow | None:
    """The request as it stands. To be locked only once its payment is."""
    query = select(REQUEST).where(REQUEST.c.request_id == request_id)
    found = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return request_row(found) if found else None


def find_open(connection: Connection, payment_id: int) -> RefundRequestRow | None:
    """The payment's request that waits for a decision, if there is one."""
    query = select(REQUEST).where(
        REQUEST.c.payment_id == payment_id, REQUEST.c.state == RequestState.OPEN
    )
    found = connection.execute(query).mappings().one_or_none()
    return request_row(found) if found else None


def request_row(found: Mapping[Any, Any]) -> RefundRequestRow:
    """A row of refund_requests, read with all its columns."""
    return cast(RefundRequestRow, dict(found))


def _move(
    connection: Connection, payment: PaymentRow, amount: int, moment: datetime, news: News
) -> None:
    change = transitions.plan(
        payment=payment,
        moment=moment,
        news=[news],
        changes={"refund_pending": payment["refund_pending"] + amount},
    )
    transitions.apply(connection, change)


def _close(
    connection: Connection,
    request: RefundRequestRow,
    state: RequestState,
    caller: Caller,
    moment: datetime,
    decision: str | None,
    **more: Any,
) -> RefundRequestRow:
    closed = {"state": state, "decided_by": caller.name, "decided_at": moment, "decision": decision}
    closing = (
        update(REQUEST)
        .where(REQUEST.c.request_id == request["request_id"])
        .values(closed | more)
        .returning(*REQUEST.c)
    )
    return request_row(connection.execute(closing).mappings().one())


def _told(
    request: RefundRequestRow, state: str = RequestState.OPEN, decision: str | None = None
) -> Mapping[str, Any]:
    """What an event says of the request: all of it that the event does not say anyway."""
    said = {
        "request_id": request["request_id"],
        "amount_minor": request["amount"],
        "state": str(state),
        "decision": decision,
    }
    return {"refund_request": said}
