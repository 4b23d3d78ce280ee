"""The sandbox's page for people: what it holds, and its levers as forms."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Redirect

from payment_service.sandbox.dialects.psp.views import shown
from payment_service.sandbox.faults import DESCRIPTIONS, OPERATIONS
from payment_service.sandbox.latency import PROFILES
from payment_service.sandbox.memory import Row
from payment_service.sandbox.refusals import Invalid
from payment_service.sandbox.replies import failed
from payment_service.sandbox.state import SandboxState, the_state

page = Blueprint("page", __name__)

_ROWS = 25


@page.get("/")
def overview() -> str:
    """Counts, the newest of everything, and what is armed."""
    return _overview(the_state(), None)


def _overview(state: SandboxState, error: str | None) -> str:
    memory = state.memory
    return render_template(
        "overview.html",
        error=error,
        counts=_counts(state),
        charge_states=Counter(row["state"] for row in memory.rows("charge")),
        refund_states=Counter(row["state"] for row in memory.rows("refund")),
        charges=_newest(state, "charge"),
        refunds=_newest(state, "refund"),
        inbox=memory.newest("inbox", _ROWS),
        late=memory.newest("late", _ROWS),
        armed=state.faults.armed(),
        operations=("*", *OPERATIONS),
        descriptions=DESCRIPTIONS,
        latency=state.latency.shown(),
        profiles=PROFILES,
        settings=state.settings,
    )


def _counts(state: SandboxState) -> dict[str, int]:
    memory = state.memory
    counts = {f"{kind}s": memory.count(kind) for kind in ("charge", "capture", "void", "refund")}
    return counts | {
        "inbox": memory.count("inbox"),
        "kept for later": memory.count("late"),
        "trips": state.trip_count(),
    }


def _newest(state: SandboxState, kind: str) -> list[dict[str, Any]]:
    return [shown(row, request.host_url) for row in state.memory.newest(kind, _ROWS)]


@page.post("/page/faults")
def arm() -> Redirect | tuple[str, int]:
    """Arm what the form says; empty fields take their defaults."""
    state = the_state()
    form = {name: value.strip() for name, value in request.form.items() if value.strip()}
    wanted: dict[str, Any] = {name: form[name] for name in ("operation", "fault") if name in form}
    try:
        wanted |= {name: _integer(name, form[name]) for name in ("times", "ms") if name in form}
        if "match_value" in form:
            wanted["match"] = {form.get("match_field", "reference"): form["match_value"]}
        state.faults.arm(wanted)
    except Invalid as error:
        return _overview(state, str(error)), 422
    return redirect(url_for("page.overview"), 303)


@page.post("/page/faults/clear")
def disarm() -> Redirect:
    """Disarm one fault or all; all also lets go what hangs."""
    state = the_state()
    fault_id = request.form.get("id")
    state.faults.disarm(fault_id)
    if fault_id is None:
        state.alarm.ring()
    return redirect(url_for("page.overview"), 303)


@page.post("/page/latency")
def latency() -> Redirect | tuple[str, int]:
    """Change the latency profile."""
    state = the_state()
    try:
        ms = _integer("ms", request.form.get("ms") or "0")
        state.latency.set({"profile": request.form.get("profile"), "ms": ms})
    except Invalid as error:
        return _overview(state, str(error)), 422
    return redirect(url_for("page.overview"), 303)


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Invalid(f"{name}: an integer, not {text!r}") from None


@page.get("/sandbox/actions/<reference>")
def action(reference: str) -> str | Response:
    """Where a payer is sent to approve or decline."""
    row: Row | None = the_state().memory.by_reference(reference)
    if row is None:
        return failed(404, "not_found")
    waits = row["state"] in ("requires_action", "pending")
    seen = shown(row, request.host_url)
    return render_template("action.html", row=seen, waits=waits, back=row.get("return_url"))
