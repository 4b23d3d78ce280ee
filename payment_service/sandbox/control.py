"""The levers, under /sandbox: faults, latency, inbox, trips, what the payer does."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from payment_service.sandbox import trips
from payment_service.sandbox.bodies import parsed
from payment_service.sandbox.dialects.psp.views import shown
from payment_service.sandbox.faults import DESCRIPTIONS, applicable
from payment_service.sandbox.memory import Row
from payment_service.sandbox.refusals import Invalid, Refused
from payment_service.sandbox.replies import decided_already, failed, reply
from payment_service.sandbox.state import the_state
from payment_service.sandbox.webhooks import TABLE

control = Blueprint("control", __name__, url_prefix="/sandbox")


@control.errorhandler(Invalid)
def invalid(error: Invalid) -> Response:
    """A request to the sandbox itself that can't be understood: 422, and what is possible."""
    return failed(422, "invalid_request", str(error))


@control.errorhandler(Refused)
def refused(error: Refused) -> BaseResponse:
    """There is nothing to decide under that reference."""
    return decided_already(failed(error.status, error.code, error.message))


@control.post("/faults")
def arm() -> Response:
    """Arm a fault; docs/sandbox.md has its fields."""
    return reply(201, the_state().faults.arm(parsed(request.get_data())).shown())


@control.get("/faults")
def list_faults() -> Response:
    """All names, what each does and where, and those that are armed."""
    return reply(
        200,
        {
            "available": list(DESCRIPTIONS),
            "descriptions": DESCRIPTIONS,
            "operations": {name: applicable(name) for name in DESCRIPTIONS},
            "armed": the_state().faults.armed(),
        },
    )


@control.delete("/faults")
def disarm_all() -> Response:
    """Disarm every fault and let go everything that hangs."""
    state = the_state()
    gone = state.faults.disarm()
    state.alarm.ring()
    return reply(200, {"disarmed": gone})


@control.delete("/faults/<fault_id>")
def disarm(fault_id: str) -> Response:
    """Disarm one fault."""
    gone = the_state().faults.disarm(fault_id)
    return reply(200, {"disarmed": gone}) if gone else failed(404, "not_found")


@control.get("/latency")
def show_latency() -> Response:
    """The current profile."""
    return reply(200, the_state().latency.shown())


@control.post("/latency")
def set_latency() -> Response:
    """Change the profile."""
    state = the_state()
    state.latency.set(parsed(request.get_data()))
    return reply(200, state.latency.shown())


@control.get("/inbox")
def inbox() -> Response:
    """What the sister services were told, oldest first; `limit` keeps the newest."""
    service, limit = request.args.get("service"), request.args.get("limit", type=int)
    rows = the_state().memory.rows("inbox")
    if service is not None:
        rows = [row for row in rows if row["service"] == service]
    tail = rows if limit is None else rows[max(0, len(rows) - max(0, limit)) :]
    return reply(200, {"inbox": [_opened(row) for row in tail], "count": len(rows)})


def _opened(row: Row) -> dict[str, Any]:
    """With the body parsed where it is JSON; `raw` is what a signature is over."""
    body = parsed(row["raw"].encode())
    return {**row, "body": row["raw"] if body is None else body}


@control.delete("/inbox")
def empty_inbox() -> Response:
    """Throw the sister services' notes away."""
    the_state().memory.empty("inbox")
    return reply(200, {"inbox": [], "count": 0})


@control.put("/trips/<trip_id>")
def put_trip(trip_id: str) -> Response:
    """Add a trip or change some of its fields; numbers are kept as they are written."""
    try:
        changes = json.loads(request.get_data(), parse_float=Decimal)
    except ValueError:
        changes = None
    if not isinstance(changes, dict):
        raise Invalid("the body must be a JSON object")
    trip = the_state().change_trip(trip_id, changes)
    return Response(trips.as_json(trip), mimetype="application/json")


@control.get("/late")
def late() -> Response:
    """Requests that were kept to be done later."""
    return reply(200, {"late": the_state().memory.rows("late")})


@control.post("/late/<reference>")
def arrive(reference: str) -> Response:
    """The network delivers what is kept under this reference now."""
    done = the_state().postponed.arrive(reference)
    return reply(200, {"done": done}) if done else failed(404, "not_found")


@control.get("/webhooks")
def webhooks() -> Response:
    """What the providers sent to us or will, oldest first, with our last answer."""
    return reply(200, {"webhooks": the_state().memory.rows(TABLE)})


@control.put("/webhooks")
def send_webhooks_to() -> Response:
    """Where they are sent from now on: {"url": "http://.../v1/webhooks"}, or null for nowhere."""
    body = parsed(request.get_data())
    if not isinstance(body, dict) or not isinstance(body.get("url", 0), str | None):
        raise Invalid("url: an address that ends before the provider's name, or null")
    the_state().webhooks.base_url = body["url"]
    return reply(200, {"url": body["url"]})


@control.post("/webhooks/<row_id>")
def send_webhook_again(row_id: str) -> Response:
    """Sends one more time what was sent or not."""
    sent = the_state().webhooks.again(row_id)
    return reply(200, {"sent": sent}) if sent else failed(404, "not_found")


@control.post("/actions/<reference>")
def act(reference: str) -> BaseResponse:
    """The payer, or the bank, makes up its mind: {"outcome": "approve" | "decline"}."""
    if "outcome" in request.form:
        row = the_state().books.act(reference, request.form["outcome"])
        back = row.get("return_url") or url_for("page.action", reference=reference)
        return redirect(back, 303)
    body = parsed(request.get_data())
    outcome = body.get("outcome") if isinstance(body, dict) else None
    row = the_state().books.act(reference, str(outcome))
    return reply(200, shown(row, request.host_url))


@control.delete("/state")
def clear() -> Response:
    """Forget everything."""
    the_state().clear()
    return reply(200, {"cleared": True})
