"""Who did what: the audit log, with its filters in the address, and what its chains are like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, abort, request, url_for
from flask_admin import expose
from marshmallow import ValidationError

from payment_service.admin import newer
from payment_service.admin.admission import may_see, now
from payment_service.admin.days import begin_of
from payment_service.admin.views import Page
from payment_service.domain.acts import Act
from payment_service.domain.jobs import JobKind
from payment_service.domain.operators import Role
from payment_service.identity.random_tokens import new_token
from payment_service.schemas.audit_log import ActQuery
from payment_service.schemas.lists import Cursor
from payment_service.schemas.lists import Page as Part
from payment_service.services import jobs, listings
from payment_service.services.chain_alarm import LONGEST_WHY

ROWS = 50
DAYS = (30, 90, 365)
"""How far back is looked for an act, an actor or an object: the time alone has an index."""
NAMES = {"act": "Act", "actor": "Who", "object": "Of", "from": "From", "to": "To"}


class Audit(Page):
    path = "/audit"

    @expose()
    def index(self) -> Any:
        chosen = _chosen()
        filters, days, wrong = _asked(chosen)
        page = Part(limit=ROWS, offset=0, cursor=_cursor(), total=False)
        found = {} if wrong else listings.list_acts(page=page, filters=filters)
        shown = self.render(
            chosen=chosen,
            wrong=wrong,
            names=NAMES,
            known=list(Act),
            acts=found.get("acts", []),
            days=days,
            further=DAYS,
            further_back=_here,
            older=_here(older=found["next_cursor"]) if found.get("has_more") else None,
            here=_here(),
            watched=_watched(chosen, found["acts"]) if found else None,
            newest=_here() if request.args.get("older") else None,
            export=_export(filters),
            last=next(iter(jobs.newest(kind=JobKind.VERIFY, limit=1)), None),
            may_act=may_see(Role.OPERATOR),
            may_explain=may_see(Role.ADMIN),
            most=LONGEST_WHY,
            asked_key=new_token(),
        )
        return shown, 422 if wrong else 200

    @expose("/newer")
    def newer(self) -> Response:
        filters, _, wrong = _asked(_chosen())
        if wrong:
            abort(422, "; ".join(wrong))
        count = listings.newer_than("acts", filters=filters, cursor=newer.than(), most=ROWS)
        return newer.told(count, ROWS)


def _chosen() -> dict[str, str]:
    return {name: text for name in NAMES if (text := request.args.get(name, "").strip())}


def _watched(chosen: dict[str, str], shown: Sequence[Mapping[str, Any]]) -> str | None:
    """The address that tells of newer acts; None where new ones don't come in on top."""
    if "older" in request.args or "to" in chosen:
        return None
    return _here("newer", than=newer.top(shown, "at", "audit_id"))


def _asked(chosen: dict[str, str]) -> tuple[dict[str, Any], int | None, list[str]]:
    """The filters as the list takes them, how far back is looked (None: all of it), and what is not
    understood."""
    filters: dict[str, Any] = {}
    wrong = []
    for name, text in chosen.items():
        try:
            if name in ("from", "to"):
                filters[f"at_{name}"] = begin_of(text, now().timezone, after=name == "to")
            else:
                filters |= ActQuery().load({name: text})["filters"]
        except (ValidationError, ValueError) as error:
            told = "there is no such act" if name == "act" else "that can't be one"
            told = str(error) if name in ("from", "to") else told
            wrong.append(f"{NAMES[name]}: {told}")
    if "at_from" in filters or not filters.keys() - {"at_to"}:
        return filters, None, wrong
    sent = request.args.get("days", "")
    days = int(sent) if sent in map(str, DAYS) else DAYS[0]
    filters["at_from"] = datetime.now(UTC) - timedelta(days=days)
    return filters, days, wrong


def _cursor() -> Cursor | None:
    """One that we did not give out is the first page."""
    try:
        return Cursor.read(request.args["older"]) if request.args.get("older") else None
    except ValidationError:
        return None


def _here(page: str = "index", **changed: Any) -> str:
    kept = {name: text for name, text in request.args.items() if name in (*NAMES, "days") and text}
    return url_for(f"admin_audit.{page}", **(kept | changed))


def _export(filters: dict[str, Any]) -> str:
    said: dict[str, Any] = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in filters.items()
    }
    return url_for("admin.audit_csv", **said)
