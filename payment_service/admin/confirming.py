"""The forms of acts: each is drawn with a key of its own and the payment's version, and what comes
back with them is done once, or not at all."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from flask import abort, flash, g, render_template, request, url_for

from payment_service.admin.act_words import OF_ACT, REFUND_BY_HAND
from payment_service.admin.admission import now
from payment_service.admin.redirects import see
from payment_service.admin.shown import amount_in
from payment_service.admin.words import OF_EVENT
from payment_service.domain.callers import Caller
from payment_service.domain.errors import (
    DomainError,
    IdempotencyKeyInProgress,
    PaymentNotFound,
    RefundNotFound,
)
from payment_service.domain.four_eyes import (
    BadReason,
    OneIsOpen,
    PaymentChanged,
    SecondPersonNeeded,
)
from payment_service.idempotency import Key, fingerprint
from payment_service.services import fitting, timeline
from payment_service.services.fitting import AsItStands, Fit, PaymentAct

_KEY = re.compile(r"[A-Za-z0-9_-]{20,64}", re.ASCII)
_VERSION = re.compile(r"[0-9]{1,9}", re.ASCII)
UNDER_WAY = (
    "This form was sent already, and what it asked for is under way. It is not done twice; look"
    " here for how it ends."
)
_NOT_SAID = ("csrf_token", "key")
"""Fields that are no part of what the form says."""


@dataclass(frozen=True)
class Changed:
    """What happened to the payment since its form was drawn."""

    at: datetime
    what: str
    who: str


@dataclass(frozen=True)
class Drawn:
    """What makes a form the one that it is: its key, and the payment's version that it shows."""

    key: str
    version: int


def new_key() -> str:
    """For one form, drawn once."""
    return secrets.token_urlsafe(24)


def drawn_before(asked: Mapping[str, str]) -> Drawn | None:
    """The form that an address is of. The back button draws that one again: a new one would be
    done a second time."""
    key, version = asked.get("key", ""), asked.get("version", "")
    if not (_KEY.fullmatch(key) and _VERSION.fullmatch(version)):
        return None
    return Drawn(key, int(version))


def sent_key() -> Key:
    """The key of the form that came: on this act, of this operator. Aborts with 400."""
    text = request.form.get("key", "")
    if not _KEY.fullmatch(text):
        _not_ours()
    said = {name: value for name, value in request.form.items() if name not in _NOT_SAID}
    return Key(asks().name, f"POST {request.path}", text, fingerprint(said))


def sent() -> dict[str, Any]:
    """What services take of each form. Aborts with 400."""
    version = request.form.get("version", "")
    if not _VERSION.fullmatch(version):
        _not_ours()
    return {"version": int(version), "key": sent_key(), "caller": asks()}


def asks() -> Caller:
    """Who acts, as services take it."""
    caller: Caller = g.caller
    return caller


def payment_url(payment_id: int) -> str:
    return url_for("admin_payment.index", payment_id=payment_id)


def sent_refund() -> int:
    """The refund that the form is about. Aborts with 400."""
    text = request.form.get("refund_id", "")
    if not _VERSION.fullmatch(text):
        _not_ours()
    return int(text)


def tried(payment_id: int, do: Callable[[dict[str, Any]], Any], again: Callable[..., Any]) -> Any:
    """Does what the form that came asks for, with what services take of it; or draws it `again`
    with what is in the way, and what changed."""
    taken = sent()
    try:
        return do(taken)
    except PaymentChanged as error:
        return again(said=str(error), since=taken["version"]), 409
    except IdempotencyKeyInProgress:
        flash(UNDER_WAY)
        return see(payment_url(payment_id))
    except BadReason as error:
        same = Drawn(taken["key"].key, taken["version"])
        return again(said=str(error), drawn=same), 422
    except (PaymentNotFound, RefundNotFound):
        raise
    except (DomainError, OneIsOpen, SecondPersonNeeded) as error:
        return again(said=sentence(error), since=taken["version"]), 409


def sentence(error: Exception) -> str:
    """What an error says, as a sentence."""
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def page(
    act: PaymentAct,
    payment_id: int,
    *,
    amount: int | None = None,
    since: int | None = None,
    drawn: Drawn | None = None,
    template: str = "admin/confirm.html",
    **more: Any,
) -> str:
    """The form of an act: a new one, or the one that was `drawn` before. `amount` is in minor
    units, and what the act is about unless said; `since` is the version that an older form was
    drawn for. Raises PaymentNotFound."""
    g.payment_id = payment_id
    seen = fitting.look(payment_id)
    fit = fitting.fit_of(act, seen, now())
    if amount is None:
        amount = _amount_of(fit, seen)
    if drawn is None:
        drawn = Drawn(new_key(), seen.payment["version"])
    elif since is None:
        since = drawn.version
    words = OF_ACT[act]
    if act is PaymentAct.REFUND and seen.given_by_hand:
        words = words._replace(will=REFUND_BY_HAND)
    values = {
        "payment": payment_id,
        "provider": seen.provider or "Nobody",
        "amount": amount_in(amount, seen.payment["currency"]),
    }
    return render_template(
        template,
        seen=seen,
        payment=seen.payment,
        fit=fit,
        amount_asked=amount,
        words={name: text.format(**values) for name, text in words._asdict().items()},
        changes=[] if since is None else changes(payment_id, since),
        drawn=drawn,
        back=payment_url(payment_id),
        **more,
    )


def changes(payment_id: int, since: int) -> list[Changed]:
    """What happened to the payment after that version."""
    return [
        Changed(
            moment["at"],
            OF_EVENT.get(moment["what"], moment["what"]),
            str(moment["details"].get("caller") or moment["actor"] or ""),
        )
        for moment in timeline.tell(payment_id=payment_id)["events"]
        if moment["kind"] == "event" and int(str(moment["details"].get("seq", 0))) > since
    ]


def _amount_of(fit: Fit, seen: AsItStands) -> int:
    """What the act is about."""
    if fit.refund_id is not None:
        return next(row["amount"] for row in seen.refunds if row["refund_id"] == fit.refund_id)
    if fit.act is PaymentAct.CAPTURE:
        return seen.payment["authorized"]
    return seen.left if fit.act is PaymentAct.REFUND else seen.payment["amount"]


def _not_ours() -> NoReturn:
    abort(400, "This form is not one that was drawn here. Nothing was done; open its page again.")
