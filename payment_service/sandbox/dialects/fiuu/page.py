"""The page where Fiuu's payer pays, or does not, and what leads back from it."""

from __future__ import annotations

from flask import Blueprint, Response, abort, render_template, request

from payment_service.sandbox.dialects.fiuu import notices, signatures
from payment_service.sandbox.dialects.fiuu.till import WORDS, Till, cents
from payment_service.sandbox.replies import failed, reply
from payment_service.sandbox.state import the_state

page = Blueprint("fiuu_page", __name__, url_prefix="/fiuu")

_NEEDED = ("amount", "orderid", "bill_desc", "currency", "vcode")


@page.route("/RMS/pay/<merchant>/", methods=["GET", "POST"])
@page.route("/RMS/pay/<merchant>/<channel>", methods=["GET", "POST"])
def opened(merchant: str, channel: str = "") -> str | Response:
    """The page itself; an order whose vcode is wrong is turned away."""
    fields = {**request.args.to_dict(), **request.form.to_dict()}
    signed = {**fields, "merchantID": merchant}
    vcode = fields.get("vcode", "")
    right = any(signatures.fits(name, signed, vcode) for name in ("page", "page_extended"))
    if merchant != signatures.MERCHANT or not right:
        return failed(400, "P05", "Wrong merchant or vcode.")
    if not all(fields.get(name) for name in _NEEDED) or cents(fields["amount"]) is None:
        return failed(400, "P04", "A field is missing.")
    order = Till(the_state().memory).opened({**fields, "channel": channel or "credit"})
    return render_template("fiuu_page.html", order=order, waits=True)


@page.post("/orders/<number>")
def decided(number: str) -> str | Response:
    """The payer's word: yes, no or pending, and why not (`error_code`, `error_desc`). The browser
    goes back with what the merchant is told, too; JSON for `as=json`."""
    state = the_state()
    till = Till(state.memory)
    order, word = till.order(number), request.form.get("word", "")
    if order is None or word not in WORDS:
        abort(404)
    error = request.form.get("error_code", "05" if word == "no" else "")
    row = till.decided(order, word, error, request.form.get("error_desc", "Not authorised"))
    notices.send(state, row, order)
    told = notices.fields_of(row)
    if request.form.get("as") == "json":
        return reply(200, told)
    return render_template("fiuu_back.html", url=order.get("returnurl"), fields=told)


@page.post("/transactions/<number>/callback")
def told_again(number: str) -> Response:
    """Sends the news of a try to pay once more, as it stands now: Fiuu's deferred callback."""
    state = the_state()
    till = Till(state.memory)
    row = till.transaction(number)
    order = till.order(row["order"]) if row else None
    if row is None or order is None:
        abort(404)
    notices.send(state, row, order)
    return reply(200, row)


@page.post("/refunds/<reference>")
def settled(reference: str) -> Response:
    """The bank's word about a refund: success or rejected."""
    status = request.form.get("status", "")
    if status not in ("success", "rejected"):
        abort(404)
    row = Till(the_state().memory).settle(reference, status)
    return reply(200, row) if row else failed(404, "not_found")
