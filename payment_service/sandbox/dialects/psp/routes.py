"""The provider over HTTP, under /psp."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Blueprint, Response, request

from payment_service.sandbox.behaviours import answered
from payment_service.sandbox.bodies import parsed
from payment_service.sandbox.dialects.psp import tokens
from payment_service.sandbox.dialects.psp.views import shown, status_of
from payment_service.sandbox.faults import Ask, Whim
from payment_service.sandbox.memory import OPERATIONS, Row
from payment_service.sandbox.refusals import Invalid, Refused
from payment_service.sandbox.replies import failed, reply
from payment_service.sandbox.state import SandboxState, the_state
from payment_service.sandbox.times import stamp

# A page stays far below the megabyte that the service reads of one answer.
LISTED_AT_ONCE = 200

psp = Blueprint("psp", __name__, url_prefix="/psp")


@psp.post("/charges")
def charge() -> Response:
    """Charge, or authorize with `capture: false`."""
    body = parsed(request.get_data())
    held = isinstance(body, dict) and body.get("capture") is False
    return _operate("authorize" if held else "charge", None, body)


@psp.post("/charges/<reference>/captures")
def capture(reference: str) -> Response:
    """Take what is held under a charge's reference."""
    return _operate("capture", reference, parsed(request.get_data()))


@psp.post("/charges/<reference>/voids")
def void(reference: str) -> Response:
    """Release what is held under a charge's reference."""
    return _operate("void", reference, parsed(request.get_data()))


@psp.post("/refunds")
def refund() -> Response:
    """Give back captured money."""
    return _operate("refund", None, parsed(request.get_data()))


def _operate(operation: str, target: str | None, body: Any) -> Response:
    state = the_state()
    fields = dict(body) if isinstance(body, dict) else {}
    if target is not None:
        fields["charge_reference"] = target
    token = _token(state, fields)
    ask = _ask(state, operation, fields, token)

    def do(whim: Whim) -> Response:
        try:
            return _answer(state.books.perform(operation, target, body, whim))
        except Invalid as error:
            return failed(400, "invalid_request", str(error))
        except Refused as refused:
            return failed(refused.status, refused.code, refused.message)

    is_charge = operation in ("charge", "authorize")
    return answered(state, ask, do, tokens.slowness(token) if is_charge else 0.0)


def _token(state: SandboxState, fields: dict[str, Any]) -> Any:
    """The charge's token, also for what is done to the charge later: faults can match on it."""
    if "payment_token" in fields:
        return fields["payment_token"]
    reference = fields.get("charge_reference") or fields.get("reference")
    row = state.memory.by_reference(reference)
    if row is not None and row["kind"] != "charge":
        row = state.memory.get("charge", row["charge_id"])
    return row["payment_token"] if row else None


def _ask(state: SandboxState, operation: str, fields: dict[str, Any], token: Any) -> Ask:
    matchable = {**fields, "token": token, "http_method": request.method}
    is_repeat = state.memory.by_reference(fields.get("reference")) is not None
    return Ask(operation, request.method, request.path, matchable, is_repeat)


def _answer(row: Row) -> Response:
    return reply(status_of(row), shown(row, request.host_url))


@psp.get("/operations/<reference>")
def lookup(reference: str) -> Response:
    """What was done under one of our references, of any kind, as it is now."""
    state = the_state()

    def do(whim: Whim) -> Response:
        row = state.memory.by_reference(reference)
        if row is None:
            return failed(404, "not_found", "Nothing was done under this reference.")
        return reply(200, shown(row, request.host_url))

    fields = {"reference": reference}
    return answered(state, _ask(state, "lookup", fields, _token(state, fields)), do)


@psp.get("/operations")
def operations() -> Response:
    """What was done or changed since a moment, oldest change first, a page at a time; never
    faulty. `next` goes into `after` for the following page; what changes meanwhile comes again."""
    try:
        moment = datetime.fromisoformat(request.args["since"]).timestamp()
        limit = int(request.args.get("limit", LISTED_AT_ONCE))
    except (KeyError, ValueError):
        return failed(400, "invalid_request", "since: a time with its zone, in ISO 8601")
    mark = tuple(request.args.get("after", f"{stamp(moment)}~").split("~", 1))
    rows = the_state().memory.changed_since((mark[0], mark[-1]))
    limit = min(max(limit, 1), LISTED_AT_ONCE)
    page, rest = rows[:limit], rows[limit:]
    following = f"{rest[0]['updated_at']}~{rest[0]['id']}" if rest else None
    listed = [shown(row, request.host_url) for row in page]
    return reply(200, {"operations": listed, "next": following})


@psp.get("/charges/<reference>")
def one_charge(reference: str) -> Response:
    """A charge; never faulty, for tests and people."""
    row = the_state().memory.by_reference(reference)
    if row is None or row["kind"] != "charge":
        return failed(404, "not_found")
    return reply(200, shown(row, request.host_url))


@psp.get("/<any(charges, captures, voids, refunds):noun>")
def everything(noun: str) -> Response:
    """All that was ever done of one kind, declines too, oldest first; never faulty."""
    kind = noun.removesuffix("s")
    assert kind in OPERATIONS
    rows = the_state().memory.rows(kind)
    return reply(200, {noun: [shown(row, request.host_url) for row in rows]})


@psp.get("/requests")
def requests() -> Response:
    """The last operations and look-ups that arrived, oldest first, with the fault each met."""
    noted = list(the_state().requests)
    return reply(200, {"requests": noted, "count": len(noted)})
