"""Many rows at once: what would be done, what is left out and why; and the job that does it."""

from __future__ import annotations

from typing import Any

from flask import abort, render_template, request, url_for

from payment_service.admin.admission import now
from payment_service.admin.job_acts import asked_key
from payment_service.admin.job_words import OF_KIND, way_to
from payment_service.admin.payment_filters import asked
from payment_service.admin.redirects import see
from payment_service.domain.jobs import MOST_ITEMS, BadJob, JobKind
from payment_service.identity.random_tokens import new_token
from payment_service.services import bulk
from payment_service.services.bulk import Chosen

OF_EVENTS = ("sink", "payment_id", "error")
LONGEST_REASON = 500


def preview_bulk() -> Any:
    """Of the ticked `key`s, or with `all` of what fits the filters in the address."""
    return _page(_kind(request.args), _chosen(_kind(request.args)))


def ask_bulk() -> Any:
    """Does what the preview named; what does not fit any more by now is left out."""
    kind, chosen = _kind(request.form), Chosen(tuple(request.form.getlist("key")[: MOST_ITEMS + 1]))
    reason = " ".join(request.form.get("reason", "").split())[:LONGEST_REASON] or None
    given = {"asked_key": asked_key(), "address": request.remote_addr}
    if not chosen.keys:
        abort(422, "Nothing was chosen, and nothing is done")
    try:
        job_id = bulk.ask(kind=kind, chosen=chosen, by=now().by, reason=reason, **given)
    except BadJob as error:
        return _page(kind, chosen, str(error)), 422
    return see(url_for("admin_job.index", job_id=job_id))


def _page(kind: JobKind, chosen: Chosen, said: str = "") -> str:
    try:
        preview = bulk.preview(kind=kind, chosen=chosen)
    except BadJob as error:
        abort(422, str(error))
    return render_template(
        "admin/bulk.html",
        kind=kind,
        words=OF_KIND,
        preview=preview,
        most=MOST_ITEMS,
        way_to=way_to,
        said=said,
        asked_key=new_token(),
    )


def _kind(sent: Any) -> JobKind:
    kind = sent.get("kind", "")
    if kind not in JobKind.__members__:
        abort(422, "It is not said what is to be done")
    return JobKind(kind)


def _chosen(kind: JobKind) -> Chosen:
    keys = tuple(request.args.getlist("key"))
    if keys:
        return Chosen(keys)
    if "all" not in request.args:
        abort(422, "Nothing was ticked. Go back, and tick what it is to be done with")
    return Chosen(filters=_of_payments() if kind is JobKind.RESOLVE else _of_events())


def _of_payments() -> dict[str, Any]:
    wanted = asked(request.args, now().timezone)
    if wanted.wrong:
        abort(422, "; ".join(wanted.wrong))
    return dict(wanted.filters)


def _of_events() -> dict[str, Any]:
    filters: dict[str, Any] = {
        name: text for name in OF_EVENTS if (text := request.args.get(name, ""))
    }
    if "payment_id" in filters:
        if not filters["payment_id"].isdecimal() or len(filters["payment_id"]) > 18:
            abort(422, "That is no payment's number")
        filters["payment_id"] = int(filters["payment_id"])
    return filters
