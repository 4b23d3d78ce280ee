"""Moves payments on a person's word: cash that was handed over or was not, a PENDING payment that
nobody wants any more."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection

from payment_service import idempotency
from payment_service.domain import states
from payment_service.domain.callers import Caller
from payment_service.domain.commands import SetStatus
from payment_service.domain.errors import OperationInProgress
from payment_service.domain.states import Trigger, Verdict
from payment_service.domain.vocabulary import PaymentStatus
from payment_service.extensions import db
from payment_service.services import pending, pricing, standing
from payment_service.services.moves import due, rows, transitions
from payment_service.services.moves.answers import Ending
from payment_service.services.moves.operations import providers
from payment_service.services.moves.rows import PaymentChanges, PaymentRow
from payment_service.services.moves.transitions import News
from payment_service.services.standing import Condition

_VERDICTS = {
    PaymentStatus.SUCCESS: Verdict.HANDED_OVER,
    PaymentStatus.FAILED: Verdict.NOT_HANDED_OVER,
    PaymentStatus.CANCELLED: Verdict.CANCELLED,
}


def set_status(
    *, payment_id: int, command: SetStatus, caller: Caller, rule: Condition | None = None
) -> Ending:
    """Moves a payment along an edge that a person may take.

    Cash is taken as a charge takes money: at the trip's fare, once, by a driver who is known.

    Raises PaymentNotFound, IllegalTransition, OperationInProgress, and for cash what pending.price
    and pricing.expect_driver raise; and what the `rule` raises.
    """
    with db.engine.connect() as connection:
        edge = _edge(standing.read(connection, payment_id), command.status)
    paid = edge.to is PaymentStatus.SUCCESS
    priced = pending.price(payment_id=payment_id, to=edge.to) if paid else None
    try:
        with due.crowded(), db.engine.begin() as connection:
            payment = standing.read(connection, payment_id, lock=True)
            if rule:
                rule(connection, payment)
            edge = _edge(payment, command.status)
            if priced:
                pending.lock(connection, payment_id, to=edge.to)
                return _take_cash(connection, payment, priced, edge, caller, command.reason)
            return close(connection, payment, edge, caller, command.reason)
    except idempotency.KeyTaken:
        raise OperationInProgress("the trip or order got another payment; look again") from None


def close(
    connection: Connection,
    payment: PaymentRow,
    edge: states.Edge,
    caller: Caller,
    reason: str | None,
) -> Ending:
    """Ends the locked payment unpaid: cancelled, or cash that was not handed over."""
    failed = edge.to is PaymentStatus.FAILED
    failure: PaymentChanges = {
        "status": edge.to,
        "failure_code": "not_handed_over" if failed else None,
        "failure_message": reason if failed else None,
    }
    return _moved(connection, payment, payment, edge, caller, reason, failure)


def _take_cash(
    connection: Connection,
    standing: PaymentRow,
    priced: PaymentRow,
    edge: states.Edge,
    caller: Caller,
    reason: str | None,
) -> Ending:
    asked = pending.at_price(standing, priced)
    by_hand, *_ = providers().charged_by_hand(asked["method"])
    pricing.expect_driver(asked, asked["method"])
    rewritten = pending.rewrite(connection, standing, asked)
    taken: PaymentChanges = {
        "status": edge.to,
        "share": 0,
        "authorized": asked["amount"],
        "captured": asked["amount"],
        "captured_at": datetime.now(UTC),
        "provider": by_hand.name,  # by whom it is given back, if it is
    }
    return _moved(connection, standing, rewritten, edge, caller, reason, taken)


def _moved(
    connection: Connection,
    before: PaymentRow,
    payment: PaymentRow,
    edge: states.Edge,
    caller: Caller,
    reason: str | None,
    changes: PaymentChanges,
) -> Ending:
    moment = changes.get("captured_at") or datetime.now(UTC)
    change = transitions.plan(
        payment=payment,
        moment=moment,
        news=[News(edge.event, caller, reason, transitions.taken_from(before))],
        changes={**changes, "completed_at": moment},
        before=before,
    )
    transitions.apply(connection, change)
    transactions = rows.read_transactions(connection, payment["payment_id"])
    return Ending(change.payment, transactions)


def _edge(payment: PaymentRow, status: PaymentStatus) -> states.Edge:
    """The edge that a person takes to that status. Raises IllegalTransition."""
    verdict = _VERDICTS.get(status)
    by_hand = providers().charged_by_hand(payment["method"]) or verdict is Verdict.CANCELLED
    try:
        if verdict is None or not by_hand:
            raise states.IllegalEdge
        return transitions.edge_of(payment, Trigger.PERSON, verdict)
    except states.IllegalEdge:
        raise standing.illegal(payment, status) from None
