"""The sister services: trips that can be asked, and services that write down what they are told."""

from __future__ import annotations

from secrets import token_hex

from flask import Blueprint, Response, request

from payment_service.sandbox import trips
from payment_service.sandbox.behaviours import answered
from payment_service.sandbox.bodies import parsed
from payment_service.sandbox.faults import Ask, Whim
from payment_service.sandbox.replies import failed, reply
from payment_service.sandbox.state import the_state
from payment_service.sandbox.times import now

sisters = Blueprint("sisters", __name__, url_prefix="/v1")


@sisters.get("/trips/<trip_id>")
def trip(trip_id: str) -> Response:
    """A trip, numbers as they were written."""
    state = the_state()

    def do(whim: Whim) -> Response:
        found = state.trip(trip_id)
        if found is None:
            return failed(404, "not_found", f"There is no trip {trip_id}.")
        return Response(trips.as_json(found), mimetype="application/json")

    return answered(state, _ask("trip", {"trip_id": trip_id}), do)


@sisters.patch("/trips/<subject>/payment-status", defaults={"service": "trip"})
@sisters.patch("/orders/<subject>/payment-status", defaults={"service": "order"})
@sisters.patch("/drivers/<subject>/payment-status", defaults={"service": "driver"})
@sisters.patch("/riders/<subject>/payment-status", defaults={"service": "rider"})
def payment_status(service: str, subject: str) -> Response:
    """A sister service is told that a payment moved."""
    return _record(service, {f"{service}_id": subject})


@sisters.post("/inventory/release", defaults={"service": "inventory"})
@sisters.post("/notifications", defaults={"service": "notification"})
def told(service: str) -> Response:
    """Inventory is told to release, or somebody is to be notified."""
    return _record(service, {})


def _record(service: str, path_fields: dict[str, str]) -> Response:
    state = the_state()
    raw = request.get_data()
    body = parsed(raw)
    entry = {
        "id": f"in_{token_hex(8)}",
        "service": service,
        "method": request.method,
        "path": request.path,
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "raw": raw.decode("utf-8", "replace"),
        "received_at": now(),
    }

    def do(whim: Whim) -> Response:
        state.memory.put("inbox", entry)
        return reply(200, {"received": True})

    fields = {**(body if isinstance(body, dict) else {}), **path_fields}
    return answered(state, _ask(service, fields), do)


def _ask(operation: str, fields: dict[str, object]) -> Ask:
    return Ask(operation, request.method, request.path, {**fields, "http_method": request.method})
