"""Stripe over HTTP, under /stripe: what a client sends, and what it is answered."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Blueprint, Response, request

from payment_service.sandbox.behaviours import answered
from payment_service.sandbox.dialects.stripe import books, events, forms, lists, objects, saved
from payment_service.sandbox.dialects.stripe.books import StripeBooks
from payment_service.sandbox.dialects.stripe.refusing import StripeSays, bad
from payment_service.sandbox.dialects.stripe.saved import SavedBooks
from payment_service.sandbox.faults import Ask, Whim
from payment_service.sandbox.memory import Row
from payment_service.sandbox.replies import reply
from payment_service.sandbox.state import SandboxState, the_state

stripe = Blueprint("stripe", __name__, url_prefix="/stripe")

KEYS = "stripe.keys"
Work = Callable[[SavedBooks, dict[str, Any], Whim], Row]

_at_work: set[str] = set()
_at_work_lock = threading.Lock()


@stripe.errorhandler(StripeSays)
def says_no(error: StripeSays) -> Response:
    """Stripe's shape of an error."""
    return _reply(error.status, {"error": objects.placed(error.error, request.host_url)})


@stripe.before_request
def expect_key() -> None:
    """Every path of the API wants a secret key of test mode."""
    if not request.path.startswith("/stripe/v1/"):
        return
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not given.startswith(("sk_test_", "rk_test_")):
        told = {"type": "invalid_request_error", "message": "Invalid API Key provided"}
        raise StripeSays(401, told)


@stripe.post("/v1/payment_intents")
def create() -> Response:
    """A charge, or a hold."""
    held = request.form.get("capture_method") == "manual"
    return _done(
        "authorize" if held else "charge", lambda book, form, whim: book.create(form, whim)
    )


@stripe.post("/v1/payment_intents/<intent_id>/confirm")
def confirm(intent_id: str) -> Response:
    """One more try of an intent, as a payer's app makes it."""
    return _done("charge", lambda book, form, whim: book.confirm(intent_id, form, whim), intent_id)


@stripe.post("/v1/payment_intents/<intent_id>/capture")
def capture(intent_id: str) -> Response:
    """Takes what is held."""
    return _done("capture", lambda book, form, whim: book.capture(intent_id, form, whim), intent_id)


@stripe.post("/v1/payment_intents/<intent_id>/cancel")
def cancel(intent_id: str) -> Response:
    """Releases what is held."""
    return _done("void", lambda book, form, whim: book.cancel(intent_id, form, whim), intent_id)


@stripe.post("/v1/refunds")
def refund() -> Response:
    """Gives back."""
    return _done("refund", lambda book, form, whim: book.refund(form, whim))


@stripe.post("/v1/customers")
def customer() -> Response:
    """Somebody who pays again and again."""
    return _done("customer", lambda book, form, whim: book.customer(form, whim))


@stripe.delete("/v1/customers/<customer_id>")
def erase(customer_id: str) -> Response:
    """The customer is gone, with all that it had saved."""
    return _done("erase", lambda book, form, whim: book.erase(customer_id), customer_id)


@stripe.post("/v1/setup_intents")
def setup() -> Response:
    """A method is to be saved."""
    return _done("setup", lambda book, form, whim: book.setup(form, whim))


@stripe.post("/v1/payment_methods/<method_id>/detach")
def detach(method_id: str) -> Response:
    """It is nobody's any more."""
    return _done("detach", lambda book, form, whim: book.detach(method_id), method_id)


@stripe.get("/v1/setup_intents/<row_id>", defaults={"table": saved.SETUPS})
@stripe.get("/v1/payment_methods/<row_id>", defaults={"table": books.METHODS})
@stripe.get("/v1/payment_intents/<row_id>", defaults={"table": books.INTENTS})
@stripe.get("/v1/refunds/<row_id>", defaults={"table": books.REFUNDS})
@stripe.get("/v1/charges/<row_id>", defaults={"table": books.CHARGES})
@stripe.get("/v1/events/<row_id>", defaults={"table": books.EVENTS})
@stripe.get("/v1/disputes/<row_id>", defaults={"table": books.DISPUTES})
def one(table: str, row_id: str) -> Response:
    """One object by its id."""
    state, form = the_state(), _form(request.args)
    param = "intent" if table == books.INTENTS else "id"
    row = state.memory.get(table, row_id)

    def do(whim: Whim) -> Response:
        return _reply(200, _shown(StripeBooks(state.memory).find(table, row_id, param), form))

    return answered(state, _ask(state, "lookup", row and row.get("metadata")), do)


@stripe.get("/v1/payment_methods", defaults={"table": books.METHODS})
@stripe.get("/v1/customers", defaults={"table": saved.CUSTOMERS})
@stripe.get("/v1/payment_intents", defaults={"table": books.INTENTS})
@stripe.get("/v1/refunds", defaults={"table": books.REFUNDS})
@stripe.get("/v1/events", defaults={"table": books.EVENTS})
@stripe.get("/v1/disputes", defaults={"table": books.DISPUTES})
def several(table: str) -> Response:
    """A list, newest first, a page at a time."""
    state, form = the_state(), _form(request.args)

    def do(whim: Whim) -> Response:
        if "customer" in form and form["customer"] is not None:
            saved.expect_customer(state.memory, form["customer"])
        rows, more = lists.page(state.memory.rows(table), form)
        inner = {"expand": lists.inside(form)}
        shown = [_shown(row, inner) for row in rows]
        told = {"object": "list", "data": shown, "has_more": more}
        return _reply(200, told | {"url": request.path.removeprefix("/stripe")})

    return answered(state, _ask(state, "lookup", None), do)


def _done(operation: str, work: Work, intent_id: str | None = None) -> Response:
    """A request that changes something: once under its key, as a fault wants it."""
    state, form = the_state(), _form(request.form)
    key = request.headers.get("Idempotency-Key")
    metadata = form.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    reference = named.get("capture") or named.get("reference") or key
    ask = _ask(state, operation, {"reference": reference}, intent_id)

    def do(whim: Whim) -> Response:
        kept = state.memory.get(KEYS, key) if key is not None and not whim.forget else None
        if kept is None:
            return _carried_out(state, work, form, key, whim)
        if kept["mark"] != _mark(form):
            raise StripeSays(400, {"type": "idempotency_error", "message": _OTHER})
        again = Response(kept["body"], kept["status"], mimetype="application/json")
        again.headers["Idempotent-Replayed"] = "true"
        return again

    with _alone(key):
        return answered(state, ask, do)


_OTHER = (
    "Keys for idempotent requests can only be used with the same parameters they were first used"
    " with."
)


def _carried_out(
    state: SandboxState, work: Work, form: dict[str, Any], key: str | None, whim: Whim
) -> Response:
    book = SavedBooks(state.memory, key)
    with state.memory.lock:
        try:
            response = _reply(200, _shown(work(book, form, whim), form))
        except StripeSays as error:
            if error.status == 400:
                return says_no(error)  # nothing was done, and no key keeps that
            response = says_no(error)
        if key is not None:
            kept = {"id": key, "mark": _mark(form), "status": response.status_code}
            state.memory.put(KEYS, {**kept, "body": response.get_data(as_text=True)})
    for event in book.events:
        events.send(state.webhooks, event)
    return response


@contextmanager
def _alone(key: str | None) -> Iterator[None]:
    """Raises StripeSays while another request with the key is at work."""
    if key is None:
        yield
        return
    with _at_work_lock:
        if key in _at_work:
            told = {"type": "invalid_request_error", "code": "idempotency_key_in_use"}
            raise StripeSays(409, told | {"message": "Another request uses this key just now."})
        _at_work.add(key)
    try:
        yield
    finally:
        with _at_work_lock:
            _at_work.discard(key)


def _mark(form: dict[str, Any]) -> str:
    asked = json.dumps([request.method, request.path, form], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def _ask(state: SandboxState, operation: str, metadata: Any, intent_id: str | None = None) -> Ask:
    reference = (metadata or {}).get("reference")
    fields = {"dialect": "stripe", "reference": reference, "intent": intent_id}
    fields["http_method"] = request.method
    key = request.headers.get("Idempotency-Key")
    repeat = key is not None and state.memory.get(KEYS, key) is not None
    return Ask(operation, request.method, request.path, fields, repeat)


def _form(pairs: Any) -> dict[str, Any]:
    try:
        return forms.nested(pairs.items(multi=True))
    except (ValueError, AttributeError, TypeError) as error:
        raise bad(f"Invalid parameter: {error}") from error


def _shown(row: Row, form: dict[str, Any]) -> dict[str, Any]:
    expand = form.get("expand") or []
    found = objects.shown(row, the_state().memory, list(expand))
    return objects.placed(found, request.host_url)


def _reply(status: int, body: dict[str, Any]) -> Response:
    return reply(status, body, Request_Id=objects.new_id("req"), Stripe_Version=objects.VERSION)
