"""What people do at the sandbox's Stripe: the payer on the page of 3-D Secure, the bank of a
refund, whoever looks into the books."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from payment_service.sandbox.amounts import decimal_string
from payment_service.sandbox.bodies import parsed
from payment_service.sandbox.dialects.stripe import books, events
from payment_service.sandbox.dialects.stripe.books import StripeBooks
from payment_service.sandbox.dialects.stripe.disputes import DisputeBooks
from payment_service.sandbox.dialects.stripe.refusing import StripeSays
from payment_service.sandbox.dialects.stripe.saved import SavedBooks
from payment_service.sandbox.memory import Memory, Row
from payment_service.sandbox.replies import decided_already, failed, reply
from payment_service.sandbox.state import the_state

Book = TypeVar("Book", bound=StripeBooks)

payers = Blueprint("stripe_payers", __name__, url_prefix="/stripe")


@payers.errorhandler(StripeSays)
def says_no(error: StripeSays) -> BaseResponse:
    """Nothing waits under that id."""
    answer = failed(404 if error.status == 404 else 409, "not_waiting", str(error))
    return decided_already(answer)


@payers.get("/3ds/<intent_id>")
def ask(intent_id: str) -> str:
    """The page of the payer's bank, with a yes and a no."""
    intent = StripeBooks(the_state().memory).find(books.INTENTS, intent_id, "intent")
    currency = intent["currency"].upper()
    return render_template(
        "stripe_3ds.html",
        intent=intent,
        amount=f"{decimal_string(intent['amount'], currency)} {currency}",
        waits=intent["status"] == "requires_action",
    )


@payers.post("/3ds/<intent_id>")
def answer(intent_id: str) -> BaseResponse:
    """The payer's word, {"outcome": "approve" | "decline"}; a form leads back to the merchant."""
    before = StripeBooks(the_state().memory).find(books.INTENTS, intent_id, "intent")
    approves = _outcome() == "approve"
    intent = _happens(StripeBooks, lambda book: book.act(intent_id, approves))
    back = ((before["next_action"] or {}).get("redirect_to_url") or {}).get("return_url")
    if not request.form or not back:
        return reply(200, {"id": intent["id"], "status": intent["status"]})
    told = {"payment_intent": intent_id, "payment_intent_client_secret": intent["client_secret"]}
    told["redirect_status"] = "succeeded" if approves else "failed"
    return redirect(f"{back}{'&' if '?' in back else '?'}{urlencode(told)}", 303)


@payers.post("/banks/<refund_id>")
def settle(refund_id: str) -> Response:
    """A refund succeeds, or fails, be it days later: {"outcome": "succeed" | "fail"}."""
    refund = _happens(StripeBooks, lambda book: book.settle(refund_id, _outcome()))
    return reply(200, {"id": refund["id"], "status": refund["status"]})


@payers.post("/disputes")
def contest() -> Response:
    """A payer's bank opens a dispute: {"payment_intent", "amount"?, "reason"?, "inquiry"?}."""
    asked: Any = parsed(request.get_data()) or {}
    dispute = _happens(DisputeBooks, lambda book: book.open(asked))
    return reply(200, {"id": dispute["id"], "status": dispute["status"]})


@payers.post("/disputes/<dispute_id>")
def go_on(dispute_id: str) -> Response:
    """It goes on: {"step": "review" | "win" | "lose" | "reinstate" | "chargeback" | "close"}."""
    asked: Any = parsed(request.get_data()) or {}
    dispute = _happens(DisputeBooks, lambda book: book.step(dispute_id, str(asked.get("step"))))
    return reply(200, {"id": dispute["id"], "status": dispute["status"]})


@payers.post("/setups/<setup_id>")
def bring(setup_id: str) -> Response:
    """The payer's app brings a card: {"payment_method": "pm_card_visa"}."""
    setup = _happens(SavedBooks, lambda book: book.bring(setup_id, _said("payment_method")))
    return reply(200, {"id": setup["id"], "payment_method": setup["payment_method"]})


@payers.post("/cards/<method_id>")
def renew(method_id: str) -> Response:
    """The network tells of a new card: {"exp_year": 2040}."""
    year = int(_said("exp_year") or 0)
    method = _happens(SavedBooks, lambda book: book.renew(method_id, year))
    return reply(200, {"id": method["id"]})


@payers.get("/books")
def everything() -> Response:
    """All intents, charges and refunds, oldest first; never faulty, and without a key."""
    memory = the_state().memory
    tables = {"intents": books.INTENTS, "charges": books.CHARGES, "refunds": books.REFUNDS}
    return reply(200, {noun: memory.rows(table) for noun, table in tables.items()})


def _outcome() -> str:
    return _said("outcome")


def _said(name: str) -> str:
    body: Any = request.form or parsed(request.get_data())
    return str(body.get(name)) if body else ""


def _happens(books: Callable[[Memory], Book], work: Callable[[Book], Row]) -> Row:
    state = the_state()
    book = books(state.memory)
    with state.memory.lock:
        row = work(book)
    for event in book.events:
        events.send(state.webhooks, event)
    return row
