"""The wallet over HTTP, under /zaincash, and the page on which its payers pay."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from payment_service.sandbox.behaviours import answered
from payment_service.sandbox.bodies import parsed
from payment_service.sandbox.clients import answer_token, is_authorized
from payment_service.sandbox.dialects.zaincash.books import TABLE, WAITING, Wallet
from payment_service.sandbox.dialects.zaincash.signing import news_of
from payment_service.sandbox.faults import Ask, Whim
from payment_service.sandbox.memory import Row
from payment_service.sandbox.refusals import Invalid, Refused
from payment_service.sandbox.replies import decided_already, failed, reply
from payment_service.sandbox.state import the_state

DIALECT = "zaincash"
TOKEN_SECONDS = 300

zaincash = Blueprint("zaincash", __name__, url_prefix="/zaincash")
_GATEWAY = "/api/v2/payment-gateway/transaction"


@zaincash.errorhandler(Refused)
def refused(error: Refused) -> Response:
    """As the wallet says no."""
    return failed(error.status, error.code, error.message)


@zaincash.errorhandler(Invalid)
def invalid(error: Invalid) -> Response:
    """A request that the wallet does not understand."""
    return failed(400, "VALIDATION_FAILED", str(error))


@zaincash.post("/oauth2/token")
def token() -> Response:
    """A token for five minutes."""
    return answer_token(DIALECT, TOKEN_SECONDS)


@zaincash.post(f"{_GATEWAY}/init")
def init() -> Response:
    """A transaction that waits for its payer."""
    body = parsed(request.get_data())
    fields = dict(body) if isinstance(body, dict) else {}
    fields["reference"] = fields.get("orderId")
    return _served("charge", fields, lambda wallet: reply(200, _opened(wallet.create(body))))


@zaincash.get(f"{_GATEWAY}/inquiry/<transaction_id>")
def inquiry(transaction_id: str) -> Response:
    """How it stands."""
    row = the_state().memory.get(TABLE, transaction_id)
    fields = {"transactionId": transaction_id, "reference": row["reference"] if row else None}
    return _served(
        "lookup", fields, lambda wallet: reply(200, _shown(wallet.found(transaction_id)))
    )


def _served(
    operation: str, fields: Mapping[str, Any], do: Callable[[Wallet], Response]
) -> Response:
    if not is_authorized(DIALECT):
        return failed(401, "unauthorized")
    matchable = {**fields, "dialect": DIALECT, "http_method": request.method}

    def done(whim: Whim) -> Response:
        try:
            return do(_wallet())
        except Refused as error:
            return refused(error)
        except Invalid as error:
            return invalid(error)

    return answered(the_state(), Ask(operation, request.method, request.path, matchable), done)


def _wallet() -> Wallet:
    return Wallet(the_state().memory)


def _opened(row: Row) -> dict[str, Any]:
    return {
        "status": row["status"],
        "redirectUrl": url_for("zaincash.pay", transaction_id=row["id"], _external=True),
        "expiryTime": row["expiryTime"],
        "createdAt": row["createdAt"],
        "transactionDetails": _details(row),
    }


def _shown(row: Row) -> dict[str, Any]:
    details = _details(row)
    # Half a percent, as a number with a fraction: the wallet's fees are no whole dinars.
    details["amount"]["feeValue"] = row["value"] * 5 / 1000
    return {
        "status": row["status"],
        "transactionDetails": details,
        "customer": {"phone": row["phone"]},
        "timeStamps": {"createdAt": row["createdAt"], "updatedAt": row["updatedAt"]},
    }


def _details(row: Row) -> dict[str, Any]:
    return {
        "transactionId": row["id"],
        "externalReferenceId": row["externalReferenceId"],
        "orderId": row["reference"],
        "amount": {"value": row["value"], "currency": row["currency"]},
    }


def _tell(row: Row) -> None:
    def build(lie: str | None) -> tuple[bytes, Mapping[str, str]]:
        told = {"webhook_token": news_of(row, lie)}
        return json.dumps(told).encode(), {"Content-Type": "application/json"}

    webhooks = the_state().webhooks
    webhooks.send(
        dialect=DIALECT,
        event=row["status"],
        reference=row["reference"],
        url=webhooks.address_of(DIALECT),
        build=build,
    )


@zaincash.get("/pay/<transaction_id>")
def pay(transaction_id: str) -> str:
    """Where a payer pays, or does not."""
    row = _wallet().found(transaction_id)
    waits, back = row["status"] in WAITING, _back(row)
    return render_template("zaincash.html", row=row, waits=waits, back=back)


@zaincash.post("/pay/<transaction_id>")
def act(transaction_id: str) -> BaseResponse:
    """The payer or the clock decides: {"outcome": "approve" | "decline" | "phone" |
    "authenticate" | "expire"}."""
    by_form = "outcome" in request.form
    body = request.form if by_form else parsed(request.get_data())
    outcome = body.get("outcome") if isinstance(body, dict) else None
    try:
        row = _wallet().act(transaction_id, str(outcome))
    except Refused as error:
        return decided_already(refused(error))
    _tell(row)
    if not by_form:
        return reply(200, row)
    if row["status"] in WAITING:
        return redirect(url_for("zaincash.pay", transaction_id=transaction_id), 303)
    return redirect(_back(row), 303)


def _back(row: Row) -> str:
    """To the merchant, with how it stands, signed."""
    url: str = row["successUrl"] if row["status"] == "SUCCESS" else row["failureUrl"]
    joined = "&" if urlsplit(url).query else "?"
    return f"{url}{joined}{urlencode({'token': news_of(row)})}"


@zaincash.get("/books")
def everything() -> Response:
    """All transactions, oldest first; never faulty."""
    return reply(200, {"transactions": the_state().memory.rows(TABLE)})
