"""The payers' phones, under /swish: who is asked, and what they say. Never faulty."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from payment_service.sandbox.bodies import parsed
from payment_service.sandbox.dialects.swish.books import PAYMENTS, REFUNDS, shown, the_books
from payment_service.sandbox.dialects.swish.checks import LATER
from payment_service.sandbox.refusals import Invalid, Refused
from payment_service.sandbox.replies import decided_already, failed, reply
from payment_service.sandbox.state import the_state

phones = Blueprint("swish_phones", __name__, url_prefix="/swish")

_ROWS = 25


@phones.errorhandler(Invalid)
def invalid(error: Invalid) -> Response:
    """No way to end that there is."""
    return failed(422, "invalid_request", str(error))


@phones.errorhandler(Refused)
def refused(error: Refused) -> BaseResponse:
    """There is nothing that could end."""
    return decided_already(failed(error.status, error.code, error.message))


@phones.get("/")
def overview() -> str:
    """Those who are asked, newest first."""
    rows = the_state().memory.newest(PAYMENTS, _ROWS)
    return render_template("swish_phones.html", rows=rows)


@phones.get("/phones/<name>")
def phone(name: str) -> str | Response:
    """What one payer sees; `name` is the UUID, the token, or our reference."""
    found = the_books().find(name)
    if found is None:
        return failed(404, "not_found")
    row = found[1]
    waits = row["status"] in ("CREATED", "DEBITED") or row.get("errorCode") == "DS24"
    return render_template("swish_phone.html", row=row, waits=waits, codes=LATER)


@phones.post("/phones/<name>")
def answer(name: str) -> BaseResponse:
    """The payer says yes, no or nothing, or it ends with one of Swish's codes."""
    if "outcome" in request.form:
        the_books().end(name, request.form["outcome"])
        return redirect(url_for("swish_phones.phone", name=name), 303)
    body = parsed(request.get_data())
    outcome = body.get("outcome") if isinstance(body, dict) else None
    return reply(200, shown(the_books().end(name, str(outcome))))


@phones.get("/<any(payments, refunds):noun>")
def everything(noun: str) -> Response:
    """All that was ever taken of one kind, oldest first."""
    table = PAYMENTS if noun == "payments" else REFUNDS
    return reply(200, {noun: [shown(row) for row in the_state().memory.rows(table)]})
