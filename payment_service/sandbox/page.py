"""The sandbox's page for people: what it holds, and its levers as forms."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Redirect

from payment_service.sandbox.asked import Invalid
from payment_service.sandbox.conduct import failed
from payment_service.sandbox.faults import DESCRIPTIONS, OPERATIONS
from payment_service.sandbox.latency import PROFILES
from payment_service.sandbox.memory import Row
from payment_service.sandbox.views import shown
from payment_service.sandbox.world import World, the_world

page = Blueprint("page", __name__)

_ROWS = 25


@page.get("/")
def overview() -> str:
    """Counts, the newest of everything, and what is armed."""
    return _overview(the_world(), None)


def _overview(world: World, error: str | None) -> str:
    memory = world.memory
    return render_template(
        "overview.html",
        error=error,
        counts=_counts(world),
        charge_states=Counter(row["state"] for row in memory.rows("charge")),
        refund_states=Counter(row["state"] for row in memory.rows("refund")),
        charges=_newest(world, "charge"),
        refunds=_newest(world, "refund"),
        inbox=memory.newest("inbox", _ROWS),
        late=memory.newest("late", _ROWS),
        armed=world.faults.armed(),
        operations=("*", *OPERATIONS),
        descriptions=DESCRIPTIONS,
        latency=world.latency.shown(),
        profiles=PROFILES,
        settings=world.settings,
    )


def _counts(world: World) -> dict[str, int]:
    memory = world.memory
    counts = {f"{kind}s": memory.count(kind) for kind in ("charge", "capture", "void", "refund")}
    return counts | {
        "inbox": memory.count("inbox"),
        "kept for later": memory.count("late"),
        "trips": world.trip_count(),
    }


def _newest(world: World, kind: str) -> list[dict[str, Any]]:
    return [shown(row, request.host_url) for row in world.memory.newest(kind, _ROWS)]


@page.post("/page/faults")
def arm() -> Redirect | tuple[str, int]:
    """Arm what the form says; empty fields take their defaults."""
    world = the_world()
    form = {name: value.strip() for name, value in request.form.items() if value.strip()}
    wanted: dict[str, Any] = {name: form[name] for name in ("operation", "fault") if name in form}
    try:
        wanted |= {name: _integer(name, form[name]) for name in ("times", "ms") if name in form}
        if "match_value" in form:
            wanted["match"] = {form.get("match_field", "reference"): form["match_value"]}
        world.faults.arm(wanted)
    except Invalid as error:
        return _overview(world, str(error)), 422
    return redirect(url_for("page.overview"), 303)


@page.post("/page/faults/clear")
def disarm() -> Redirect:
    """Disarm one fault or all; all also lets go what hangs."""
    world = the_world()
    fault_id = request.form.get("id")
    world.faults.disarm(fault_id)
    if fault_id is None:
        world.alarm.ring()
    return redirect(url_for("page.overview"), 303)


@page.post("/page/latency")
def latency() -> Redirect | tuple[str, int]:
    """Change the latency profile."""
    world = the_world()
    try:
        ms = _integer("ms", request.form.get("ms") or "0")
        world.latency.set({"profile": request.form.get("profile"), "ms": ms})
    except Invalid as error:
        return _overview(world, str(error)), 422
    return redirect(url_for("page.overview"), 303)


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Invalid(f"{name}: an integer, not {text!r}") from None


@page.get("/sandbox/actions/<reference>")
def action(reference: str) -> str | Response:
    """Where a payer is sent to approve or decline."""
    row: Row | None = the_world().memory.by_reference(reference)
    if row is None:
        return failed(404, "not_found")
    waits = row["state"] in ("requires_action", "pending")
    return render_template("action.html", row=shown(row, request.host_url), waits=waits)
