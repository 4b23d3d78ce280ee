"""Acts on a payment: a form that asks once more, one service call, and back to the payment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import flash, request

from payment_service.admin import confirming
from payment_service.admin.redirects import see
from payment_service.admin.shown import written
from payment_service.domain.commands import Cancel, Capture
from payment_service.services import aftermath, by_operators
from payment_service.services.fitting import PaymentAct
from payment_service.services.moves.answers import Ended

Doing = Callable[..., Ended | bool]
"""Takes what services take of each form. Gives how a request to a provider ended; or, where none
was made, whether it was done now."""


def capture(payment_id: int) -> Any:
    return _act(
        PaymentAct.CAPTURE,
        payment_id,
        lambda **sent: by_operators.capture(payment_id=payment_id, command=Capture(), **sent),
    )


def cancel(payment_id: int) -> Any:
    return _act(
        PaymentAct.CANCEL,
        payment_id,
        lambda **sent: by_operators.cancel(payment_id=payment_id, command=Cancel(), **sent),
    )


def look_up(payment_id: int) -> Any:
    return _act(
        PaymentAct.LOOK_UP,
        payment_id,
        lambda **sent: by_operators.look_up(payment_id=payment_id, **sent),
    )


def cash_received(payment_id: int) -> Any:
    return _act(
        PaymentAct.CASH_RECEIVED,
        payment_id,
        lambda **sent: by_operators.take_cash(payment_id=payment_id, **sent),
    )


def cash_handed_back(payment_id: int) -> Any:
    return _act(
        PaymentAct.CASH_HANDED_BACK,
        payment_id,
        lambda **sent: by_operators.hand_back(refund_id=confirming.sent_refund(), **sent),
    )


def _act(act: PaymentAct, payment_id: int, do: Doing) -> Any:
    def form(**told: Any) -> Any:
        return confirming.page(act, payment_id, **told)

    if request.method != "POST":
        return form()
    return confirming.tried(payment_id, lambda sent: done(payment_id, do(**sent)), form)


def done(payment_id: int, ended: Ended | bool) -> Any:
    """Back to the payment, and what became of it in words."""
    if isinstance(ended, bool):
        flash(aftermath.tell_standing(payment_id=payment_id, again=not ended, written=written()))
    else:
        flash(aftermath.tell(ended, payment_id=payment_id, written=written()))
    return see(confirming.payment_url(payment_id))
