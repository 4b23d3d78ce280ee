"""Operators who give back, ask and decide: each in a few words."""

from __future__ import annotations

from typing import Any

from flask import Flask

from payment_service.domain import four_eyes
from payment_service.domain.callers import Caller
from payment_service.domain.commands import RefundPayment, SentAmount
from payment_service.domain.operators import Role, operator_name
from payment_service.domain.vocabulary import Actor
from payment_service.idempotency import Key, fingerprint
from payment_service.services import refund_requests
from payment_service.services.moves.answers import Ended, Ending
from payment_service.services.moves.refund_holds import RefundRequestRow
from tests.books import payment_row
from tests.fixtures import a_key
from tests.operators import Person, a_session, an_operator

Row = dict[str, Any]


def acting(app: Flask, role: Role = Role.OPERATOR) -> Caller:
    """An operator in a session that was just begun, as a page hands him to services."""
    return in_session(an_operator(app, role))


def in_session(person: Person) -> Caller:
    """The person, in a session that was just begun."""
    now = a_session(person)
    return Caller(
        operator_name(person.operator_id), Actor.OPERATOR, a_key(), now.session_id, person.address
    )


def number_of(caller: Caller) -> int:
    return int(caller.name.rpartition(":")[2])


def a_form(caller: Caller, what: str, text: str | None = None) -> Key:
    """The key of a form that was drawn for him."""
    return Key(caller.name, what, text or a_key(), fingerprint({}))


def of(amount: str | None = None, reason: str | None = "Detour") -> RefundPayment:
    return RefundPayment(amount=SentAmount(amount) if amount else None, reason=reason)


def version(app: Flask, payment_id: int) -> int:
    return int(payment_row(app, payment_id)["version"])


def gives(
    app: Flask,
    caller: Caller,
    payment_id: int,
    amount: str | None = None,
    *,
    key: str | None = None,
    seen: int | None = None,
) -> Ended:
    """He gives it back alone."""
    seen = version(app, payment_id) if seen is None else seen
    form = a_form(caller, f"refund {payment_id}", key)
    with app.app_context():
        return refund_requests.refund(
            payment_id=payment_id, command=of(amount), version=seen, key=form, caller=caller
        )


def asks(
    app: Flask,
    caller: Caller,
    payment_id: int,
    amount: str | None = None,
    *,
    key: str | None = None,
    seen: int | None = None,
    reason: str | None = "Detour",
) -> RefundRequestRow:
    seen = version(app, payment_id) if seen is None else seen
    with app.app_context():
        return refund_requests.ask(
            payment_id=payment_id,
            command=of(amount, reason),
            version=seen,
            key=a_form(caller, f"ask {payment_id}", key),
            caller=caller,
        )


def shown(app: Flask, request: RefundRequestRow) -> str:
    """The hash of the request as a page shows it now."""
    return four_eyes.shown(request, version(app, request["payment_id"]))


def approves(
    app: Flask,
    caller: Caller,
    request: RefundRequestRow,
    *,
    seen: str | None = None,
    key: str | None = None,
) -> Ended:
    seen = seen or shown(app, request)
    number = request["request_id"]
    with app.app_context():
        return refund_requests.approve(
            request_id=number, shown=seen, key=a_form(caller, f"approve {number}", key),
            caller=caller,
        )  # fmt: skip


def declines(
    app: Flask, caller: Caller, request: RefundRequestRow, *, seen: str | None = None
) -> RefundRequestRow:
    seen = seen or shown(app, request)
    with app.app_context():
        return refund_requests.decline(
            request_id=request["request_id"], shown=seen, caller=caller, decision="No receipt"
        )


def withdraws(app: Flask, caller: Caller, request: RefundRequestRow) -> RefundRequestRow:
    with app.app_context():
        return refund_requests.withdraw(request_id=request["request_id"], caller=caller)


def stands(app: Flask, request: RefundRequestRow) -> RefundRequestRow:
    with app.app_context():
        return refund_requests.read(request["request_id"])


def refund_of(ended: Ended) -> Any:
    assert isinstance(ended, Ending)
    assert ended.refund is not None
    return ended.refund
