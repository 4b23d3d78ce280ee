"""Giving money back: how much; once more, with that amount in words; and then it is given back, or
asked for where a second person must decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import flash, g, render_template, request, url_for

from payment_service.admin import acts, confirming
from payment_service.admin.act_words import REASONS
from payment_service.admin.admission import now
from payment_service.admin.redirects import see
from payment_service.domain import four_eyes, money
from payment_service.domain.commands import RefundPayment, SentAmount
from payment_service.domain.errors import DomainError
from payment_service.domain.money import BadAmount
from payment_service.services import fitting, refund_requests
from payment_service.services.fitting import AsItStands, PaymentAct

LONGEST_AMOUNT = 40
"""Characters; more than any amount has."""


def refund(payment_id: int) -> Any:
    if request.method != "POST":
        return _shown(payment_id, request.args, drawn=confirming.drawn_before(request.args))

    def alone(sent: dict[str, Any]) -> Any:
        ended = refund_requests.refund(payment_id=payment_id, command=_command(), **sent)
        return acts.done(payment_id, ended)

    return confirming.tried(payment_id, alone, lambda **told: _again(payment_id, **told))


def ask_for_refund(payment_id: int) -> Any:
    def ask(sent: dict[str, Any]) -> Any:
        asked = refund_requests.ask(payment_id=payment_id, command=_command(), **sent)
        flash("Asked. Nothing is given back until another operator approves it.")
        return see(url_for("admin_approval.index", request_id=asked["request_id"]))

    return confirming.tried(payment_id, ask, lambda **told: _again(payment_id, **told))


def _shown(payment_id: int, asked: Mapping[str, str], **told: Any) -> Any:
    """The form: to choose an amount, or to confirm the one that is `asked` for."""
    g.payment_id = payment_id
    seen = fitting.look(payment_id)
    if fitting.fit_of(PaymentAct.REFUND, seen, now()).why or seen.whole_only:
        return _confirm(payment_id, seen.left, **told)
    if not asked.get("how"):
        return _choose(seen, **told)
    try:
        return _confirm(payment_id, _wanted(asked, seen), **told)
    except (BadAmount, DomainError) as error:
        return _choose(seen, **(told | {"wrong": confirming.sentence(error)})), 422


def _again(payment_id: int, **told: Any) -> Any:
    """With the amount and the reason that were sent, as far as they still fit."""
    shown = _shown(payment_id, {"how": "part", **request.form}, **told)
    return shown[0] if isinstance(shown, tuple) else shown


def _wanted(asked: Mapping[str, str], seen: AsItStands) -> int:
    """In minor units. Raises BadAmount."""
    if asked.get("how") == "all":
        return seen.left
    currency = seen.payment["currency"]
    amount = money.parse_amount(asked.get("amount", "")[:LONGEST_AMOUNT].strip(), currency)
    if not 0 < amount <= seen.left:
        most = money.format_amount(seen.left, currency)
        raise BadAmount(f"the amount must be more than 0 and at most {most} {currency}")
    return amount


def _choose(seen: AsItStands, **told: Any) -> str:
    payment_id = seen.payment["payment_id"]
    since = told.pop("since", None)
    told["drawn"] = confirming.Drawn(confirming.new_key(), seen.payment["version"])
    return render_template(
        "admin/refund_amount.html",
        seen=seen,
        payment=seen.payment,
        chosen=request.values,
        changes=[] if since is None else confirming.changes(payment_id, since),
        back=confirming.payment_url(payment_id),
        **told,
    )


def _confirm(payment_id: int, amount: int, **told: Any) -> str:
    """Raises as refund_requests.why_not_alone, where the act fits."""
    return confirming.page(
        PaymentAct.REFUND,
        payment_id,
        amount=amount,
        template="admin/refund_confirm.html",
        reasons=REASONS,
        chosen=request.form,
        must_ask=_must_ask(payment_id, amount),
        **told,
    )


def _must_ask(payment_id: int, amount: int) -> str | None:
    if amount <= 0:
        return None
    command = RefundPayment(amount=SentAmount(amount, in_minor_units=True))
    try:
        return refund_requests.why_not_alone(
            payment_id=payment_id, command=command, caller=confirming.asks()
        )
    except DomainError:  # it does not fit, and the page says why
        return None


def _command() -> RefundPayment:
    """What the form says. Raises BadReason."""
    said = [request.form.get(name, "").strip() for name in ("why", "more")]
    reason = four_eyes.clean_reason(": ".join(part for part in said if part))
    return RefundPayment(amount=SentAmount(request.form.get("amount", "")), reason=reason)
