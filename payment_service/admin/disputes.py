"""Disputes, the newest first: those that want evidence, or of another status."""

from __future__ import annotations

from typing import Any

from flask import request, url_for
from flask_admin import expose
from marshmallow import ValidationError

from payment_service import replica
from payment_service.admin import views
from payment_service.domain.disputes import DisputeStatus
from payment_service.schemas.lists import Cursor, Page
from payment_service.services import listings

SHOWN = 50
ALL = "ALL"


class Disputes(views.Page):
    path = "/disputes"

    @expose()
    def index(self) -> str:
        status = _status()
        page = _page()
        filters: dict[str, Any] = {} if status == ALL else {"status": status}
        with replica.may_answer(beside=page.beside):
            found = listings.list_disputes(page=page, filters=filters)
        older = found["next_cursor"]
        return self.render(
            disputes=found["disputes"],
            status_asked=status,
            statuses=(*DisputeStatus, ALL),
            first=_here(status) if request.args.get("cursor") else None,
            older=_here(status, older) if older else None,
        )


def _status() -> str:
    asked = request.args.get("status", "").upper()
    return asked if asked in (*DisputeStatus, ALL) else DisputeStatus.NEEDS_RESPONSE


def _page() -> Page:
    try:
        cursor = Cursor.read(request.args["cursor"]) if request.args.get("cursor") else None
    except ValidationError:  # not one that this list gave out
        cursor = None
    return Page(limit=SHOWN, offset=0, cursor=cursor, total=False)


def _here(status: str, cursor: str | None = None) -> str:
    return url_for("admin_disputes.index", status=status, cursor=cursor)
