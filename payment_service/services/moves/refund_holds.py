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

from payment_service.domain.callers import Caller
from payment_service.domain.four_eyes import LAPSES_AFTER, RequestState
from payment_service.models import RefundRequest
from payment_service.services.moves import transitions
from payment_service.services.moves.rows import PaymentRow
from payment_service.services.moves.steps import Move
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


def turn_into(connection: Connection, approved: Approved, move: Move) -> None:
    """What was held is held by the refund from here on, which was begun in this transaction."""
    begun, refund = move.transaction["created_at"], move.refund
    assert refund is not None
    _close(
        connection,
        approved.request,
        RequestState.APPROVED,
        move.caller,
        begun,
        approved.decision,
        refund_id=refund["refund_id"],
    )


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
