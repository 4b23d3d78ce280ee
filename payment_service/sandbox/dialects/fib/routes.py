"""The bank over HTTP, under /fib, and the app in which its payers pay."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import Blueprint, Response, redirect, render_template, request, url_for
from segno import make_qr
from werkzeug.wrappers import Response as BaseResponse

from payment_service.sandbox.behaviours import answered
from payment_service.sandbox.bodies import parsed
from payment_service.sandbox.clients import answer_token, is_authorized
from payment_service.sandbox.dialects.fib.books import TABLE, Bank
from payment_service.sandbox.faults import Ask, Whim
from payment_service.sandbox.memory import Row
from payment_service.sandbox.refusals import Invalid, Refused
from payment_service.sandbox.replies import decided_already, failed, reply
from payment_service.sandbox.state import the_state

DIALECT = "fib"
TOKEN_SECONDS = 60

fib = Blueprint("fib", __name__, url_prefix="/fib")


@fib.errorhandler(Refused)
def refused(error: Refused) -> Response:
    """As the bank says no."""
    told = {"code": error.code, "title": error.code, "detail": error.message}
    return reply(error.status, {"traceId": "sandbox", "errors": [told]})


@fib.errorhandler(Invalid)
def invalid(error: Invalid) -> Response:
    """A request that the bank does not understand."""
    return refused(Refused(400, "VALIDATION_FAILED", str(error)))


@fib.post("/auth/realms/fib-online-shop/protocol/openid-connect/token")
def token() -> Response:
    """A token for a minute."""
    return answer_token(DIALECT, TOKEN_SECONDS)


@fib.post("/protected/v1/payments")
def create() -> Response:
    """A payment that waits for its payer."""
    body = parsed(request.get_data())
    fields = dict(body) if isinstance(body, dict) else {}
    args = _arguments(fields.get("statusCallbackUrl"))
    return _served("charge", {**fields, **args}, lambda bank: reply(201, _opened(bank, body)))


@fib.get("/protected/v1/payments/<payment_id>/status")
def status(payment_id: str) -> Response:
    """How it stands."""
    fields = _fields(payment_id)
    return _served("lookup", fields, lambda bank: reply(200, _shown(bank.found(payment_id))))


@fib.post("/protected/v1/payments/<payment_id>/cancel")
def cancel(payment_id: str) -> Response:
    """Ends the wait for the payer."""

    def do(bank: Bank) -> Response:
        _tell(bank.cancel(payment_id))
        return Response(status=204)

    return _served("void", _fields(payment_id, "/cancel"), do)


@fib.post("/protected/v1/payments/<payment_id>/refund")
def refund(payment_id: str) -> Response:
    """Asks for all of it to be given back."""

    def do(bank: Bank) -> Response:
        _tell(bank.refund(payment_id))
        return Response(status=202)

    return _served("refund", _fields(payment_id, "/refund"), do)


def _bank() -> Bank:
    return Bank(the_state().memory)


def _served(operation: str, fields: Mapping[str, Any], do: Callable[[Bank], Response]) -> Response:
    if not is_authorized(DIALECT):
        return failed(401, "unauthorized")
    matchable = {**fields, "dialect": DIALECT, "http_method": request.method}

    def done(whim: Whim) -> Response:
        try:
            return do(_bank())
        except Refused as error:
            return refused(error)
        except Invalid as error:
            return invalid(error)

    return answered(the_state(), Ask(operation, request.method, request.path, matchable), done)


def _arguments(callback: Any) -> dict[str, str]:
    """A merchant that wants callbacks told apart puts its reference into their address."""
    if not isinstance(callback, str):
        return {}
    return dict(parse_qsl(urlsplit(callback).query))


def _fields(payment_id: str, about: str = "") -> dict[str, Any]:
    """The bank's refunds and cancels have no names; the payment's does, once for each."""
    row = the_state().memory.get(TABLE, payment_id)
    reference = row["reference"] if row else payment_id
    return {"paymentId": payment_id, "reference": f"{reference}{about}"}


def _opened(bank: Bank, body: Any) -> dict[str, Any]:
    row = bank.create(body)
    link = url_for("fib.app", payment_id=row["id"], _external=True)
    return {
        "paymentId": row["id"],
        "readableCode": row["readableCode"],
        "qrCode": make_qr(link).png_data_uri(scale=4),
        "validUntil": row["validUntil"],
        "personalAppLink": link,
        "businessAppLink": link,
        "corporateAppLink": link,
    }


def _shown(row: Row) -> dict[str, Any]:
    paid_by = {"name": "A payer of the sandbox", "iban": "IQ00SAND000000000000000"}
    return {
        "paymentId": row["id"],
        "status": row["status"],
        "validUntil": row["validUntil"],
        "amount": {"amount": row["amount"], "currency": row["currency"]},
        "paidAt": row["paidAt"],
        "decliningReason": row["decliningReason"],
        "declinedAt": row["declinedAt"],
        "paidBy": paid_by if row["paidAt"] else None,
    }


def _tell(row: Row) -> None:
    """The bank's callback: unsigned, so a lie is any status that is not true."""

    def build(lie: str | None) -> tuple[bytes, Mapping[str, str]]:
        told = {"id": row["id"], "status": "PAID" if lie else row["status"]}
        if lie == "other_merchant":
            told["id"] = "00000000-0000-0000-0000-000000000000"
        return json.dumps(told).encode(), {"Content-Type": "application/json"}

    the_state().webhooks.send(
        dialect=DIALECT,
        event=row["status"],
        reference=row["reference"],
        url=row["statusCallbackUrl"] or None,
        build=build,
    )


@fib.get("/app/<payment_id>")
def app(payment_id: str) -> str:
    """Where a payer pays, or does not."""
    row = _bank().found(payment_id)
    waits = row["status"] in ("UNPAID", "REFUND_REQUESTED")
    return render_template("fib.html", row=row, waits=waits, back=row["redirectUri"])


@fib.post("/app/<payment_id>")
def act(payment_id: str) -> BaseResponse:
    """The payer, the clock or the bank decides: {"outcome": "approve" | "decline" | "expire"}."""
    by_form = "outcome" in request.form
    body = request.form if by_form else parsed(request.get_data())
    outcome = body.get("outcome") if isinstance(body, dict) else None
    try:
        row = _bank().act(payment_id, str(outcome))
    except Refused as error:
        return decided_already(refused(error))
    _tell(row)
    if not by_form:
        return reply(200, row)
    return redirect(row["redirectUri"] or url_for("fib.app", payment_id=payment_id), 303)


@fib.get("/books")
def everything() -> Response:
    """All payments, oldest first; never faulty."""
    return reply(200, {"payments": the_state().memory.rows(TABLE)})
