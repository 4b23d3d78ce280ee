"""Parked events are sent again, or given up."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from flask import abort, flash, g, request, url_for

from payment_service.admin.admission import now
from payment_service.admin.redirects import see
from payment_service.outbox.routes import SINKS
from payment_service.services import parked
from payment_service.services.deliveries import Which
from payment_service.services.parked import NoReason

_NOTHING = "Nothing was done: these are no longer parked as the page showed them."
_HASH = re.compile("[0-9a-f]{64}", re.ASCII)


def resend_parked() -> Any:
    count = parked.resend(now(), which=_which(), caller=g.caller)
    flash(f"{_events(count)} due now; the worker delivers." if count else _NOTHING)
    return see(url_for("admin_events.index"))


def skip_parked() -> Any:
    which, reason = _which(), request.form.get("reason", "")
    try:
        count = parked.skip(now(), which=which, caller=g.caller, reason=reason)
    except NoReason as error:
        flash(f"Nothing was done. {error}")
    else:
        flash(f"{_events(count)} skipped; {which.sink} will not hear." if count else _NOTHING)
    return see(url_for("admin_events.index"))


def _events(count: int) -> str:
    return f"{count} event{'s are' if count > 1 else ' is'}"


def _which() -> Which:
    """What the page showed. Aborts with 400."""
    sent = request.form
    sink, error_hash = sent.get("sink", ""), sent.get("error_hash", "")
    try:
        until = datetime.fromisoformat(sent.get("until", ""))
    except ValueError:
        abort(400, "This form is not whole. Open its page again.")
    if sink not in SINKS or not _HASH.fullmatch(error_hash) or until.tzinfo is None:
        abort(400, "This form is not whole. Open its page again.")
    return Which(sink=sink, error_hash=error_hash, parked_until=until)
