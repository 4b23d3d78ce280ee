"""Refunds by status; those that are not done yet come first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, request, url_for
from flask_admin import expose
from marshmallow import ValidationError

from payment_service import replica
from payment_service.admin import newer, views
from payment_service.domain.vocabulary import RefundStatus
from payment_service.schemas.lists import Cursor, Page
from payment_service.services import listings

SHOWN = 50
DAYS = 30
"""How far back those are looked for that are done: no index knows them by their status."""
ALL = "ALL"


class Refunds(views.Page):
    path = "/refunds"

    @expose()
    def index(self) -> str:
        status = _status()
        page = _page()
        with replica.may_answer(beside=page.beside):
            found = listings.list_refunds(page=page, filters=_filters(status))
        older = found["next_cursor"]
        return self.render(
            refunds=found["refunds"],
            status_asked=status,
            statuses=(*RefundStatus, ALL),
            days=DAYS if _is_done(status) else None,
            first=_here(status) if request.args.get("cursor") else None,
            older=_here(status, older) if older else None,
            here=_here(status),
            watched=None if request.args.get("cursor") else _watched(status, found["refunds"]),
        )

    @expose("/newer")
    def newer(self) -> Response:
        filters = _filters(_status())
        with replica.may_answer():
            count = listings.newer_than("refunds", filters=filters, cursor=newer.than(), most=SHOWN)
        return newer.told(count, SHOWN)


def _status() -> str:
    asked = request.args.get("status", "").upper()
    return asked if asked in (*RefundStatus, ALL) else RefundStatus.PENDING


def _watched(status: str, shown: Sequence[Mapping[str, Any]]) -> str:
    top = newer.top(shown, "created_at", "refund_id")
    return url_for("admin_refunds.newer", status=status, than=top)


def _page() -> Page:
    try:
        cursor = Cursor.read(request.args["cursor"]) if request.args.get("cursor") else None
    except ValidationError:  # not one that this list gave out
        cursor = None
    return Page(limit=SHOWN, offset=0, cursor=cursor, total=False)


def _filters(status: str) -> dict[str, Any]:
    if status == ALL:
        return {}
    filters: dict[str, Any] = {"status": status}
    if _is_done(status):
        filters["created_from"] = datetime.now(UTC) - timedelta(days=DAYS)
    return filters


def _is_done(status: str) -> bool:
    return status not in (ALL, RefundStatus.PENDING)


def _here(status: str, cursor: str | None = None) -> str:
    return url_for("admin_refunds.index", status=status, cursor=cursor)
