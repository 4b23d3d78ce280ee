"""Refunds that were asked for, as whoever decides on them, or the worker, takes them in hand."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from payment_service.domain.acts import Act
from payment_service.domain.callers import Caller
from payment_service.domain.four_eyes import RequestState, UnknownRequest
from payment_service.services import audit_log, standing
from payment_service.services.moves import refund_holds
from payment_service.services.moves.refund_holds import RefundRequestRow
from payment_service.services.moves.rows import PaymentRow


def locked(connection: Connection, request_id: int) -> tuple[PaymentRow, RefundRequestRow]:
    """Payment and request, locked in this order. Raises UnknownRequest."""
    whose = known(refund_holds.read(connection, request_id))["payment_id"]
    payment = standing.read(connection, whose, lock=True)
    return payment, known(refund_holds.read(connection, request_id, lock=True))


def end(
    connection: Connection,
    payment: PaymentRow,
    request: RefundRequestRow,
    state: RequestState,
    caller: Caller,
    said: str | None,
) -> RefundRequestRow:
    """Gives back what was held for the locked request, and writes the act down."""
    ended = refund_holds.give_back(
        connection, payment=payment, request=request, state=state, caller=caller, decision=said
    )
    write(connection, _ACTS[state], request, caller, said)
    return ended


_ACTS = {
    RequestState.DECLINED: Act.APPROVAL_REFUSED,
    RequestState.WITHDRAWN: Act.APPROVAL_WITHDRAWN,
    RequestState.LAPSED: Act.APPROVAL_LAPSED,
}


def write(
    connection: Connection, act: Act, request: RefundRequestRow, caller: Caller, why: str | None
) -> None:
    """Of an act about a request. The last thing in its transaction."""
    body: dict[str, Any] = {
        "payment_id": request["payment_id"],
        "amount_minor": request["amount"],
        "currency": request["currency"],
        "asked_by": request["asked_by"],
    }
    audit_log.write(
        actor=caller.name,
        act=act,
        object=f"refund_request:{request['request_id']}",
        reason=why,
        body=body,
        session_id=caller.session_id,
        address=caller.address,
        connection=connection,
    )


def known(request: RefundRequestRow | None) -> RefundRequestRow:
    """Raises UnknownRequest where there is none."""
    if request is None:
        raise UnknownRequest("There is no such request.")
    return request
