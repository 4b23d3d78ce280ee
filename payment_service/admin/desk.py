"""The first page: what needs a person now, the figures of the day, circuits and sinks."""

from __future__ import annotations

import hashlib
from typing import Any

from flask import Response, current_app, make_response, render_template, request, url_for
from flask_admin import expose

from payment_service.admin import figures_shown
from payment_service.admin.admission import now
from payment_service.admin.views import Page
from payment_service.services import beats, desk
from payment_service.services.desk import Need, Wants

OF_WANT = {
    Wants.UNRESOLVED: ("payment is", "payments are", "not resolved, for longer than the alarm"),
    Wants.APPROVALS: ("refund waits", "refunds wait", "for your decision"),
    Wants.EVENTS_PARKED: ("event is", "events are", "parked"),
    Wants.WEBHOOKS_PARKED: ("webhook is", "webhooks are", "parked"),
    Wants.CASH_TO_COLLECT: ("payment in cash is", "payments in cash are", "to be collected"),
    Wants.CASH_TO_HAND_BACK: ("refund is", "refunds are", "to be handed back"),
    Wants.CONTRADICTED: ("payment was", "payments were", "contradicted in the last week"),
    Wants.WORKERS_SILENT: ("beat of the worker is", "beats of the worker are", "silent"),
}
"""One, several, and what it is."""


class Desk(Page):
    path = ""

    @expose()
    def index(self) -> str:
        shown = _shown()
        return self.render(**shown, edition=_edition(_fragment(shown)))

    @expose("/now")
    def part(self) -> Response:
        """What changes of it, for who has an older edition; 304 for who has this one."""
        told = _fragment(_shown())
        edition = _edition(told)
        is_known = request.if_none_match.contains(edition)
        answer = Response(status=304) if is_known else make_response(told)
        answer.set_etag(edition)
        return answer


def _fragment(shown: dict[str, Any]) -> str:
    return render_template("admin/desk_now.html", **shown)


def _edition(told: str) -> str:
    """Ages are told in it, so it changes each minute at least."""
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _shown() -> dict[str, Any]:
    found = desk.read(whose=now())
    return {
        "desk": found,
        "needs": [(need, _says(need), _address(need)) for need in found.needs],
        "charts": figures_shown.charts(found.figures, now().timezone),
        "silent": any(beat.is_silent for beat in found.beats),
        "worker_is_silent": beats.worker_is_silent(found.beats),
    }


def _says(need: Need) -> str:
    one, several, what = OF_WANT[need.wants]
    count = f"More than {need.count}" if need.more else str(need.count)
    return f"{count} {one if need.count == 1 else several} {what}"


def _address(need: Need) -> str | None:
    """The list that it leads to, None where there is no such page."""
    endpoint = f"admin_{need.page}.index"
    if endpoint not in current_app.view_functions:
        return None
    return url_for(endpoint, **need.only)  # type: ignore[arg-type]
