"""What providers said unasked: the list, with its filters in its address, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, abort, request, url_for
from flask_admin import expose
from marshmallow import ValidationError

from payment_service import replica
from payment_service.admin import newer
from payment_service.admin.views import Page
from payment_service.domain.vocabulary import WebhookStatus
from payment_service.schemas.lists import Cursor
from payment_service.schemas.lists import Page as Part
from payment_service.schemas.webhooks import WebhookQuery
from payment_service.services import listings, webhook_reading, webhook_refusals, webhooks

NAMES = {"provider": "Provider", "status": "Status", "payment_id": "Payment"}
ROWS = 50


class Webhooks(Page):
    path = "/webhooks"

    @expose()
    def index(self) -> Any:
        chosen = _chosen()
        filters, wrong = _read(chosen)
        asked = _part()
        with replica.may_answer(filters, beside=asked.beside):
            found = None if wrong else listings.list_webhooks(page=asked, filters=filters)
        older = found and found["next_cursor"]
        page = self.render(
            chosen=chosen,
            wrong=wrong,
            found=found,
            waiting=webhook_reading.waiting(),
            statuses=list(WebhookStatus),
            providers=webhooks.names(),
            names=NAMES,
            is_first="older" not in request.args,
            first=_way(chosen),
            dropping={
                name: _way({k: v for k, v in chosen.items() if k != name}) for name in chosen
            },
            older=_way(chosen, older=older) if older else None,
            watched=_watched(chosen, found["webhooks"]) if found else None,
        )
        return page, 422 if wrong else 200

    @expose("/newer")
    def newer(self) -> Response:
        filters, wrong = _read(_chosen())
        if wrong:
            abort(422, "; ".join(wrong))
        with replica.may_answer(filters):
            count = listings.newer_than("webhooks", filters=filters, cursor=newer.than(), most=ROWS)
        return newer.told(count, ROWS)

    @expose("/refused")
    def refused(self) -> str:
        return self.render("admin/webhooks_refused.html", refusals=webhook_refusals.last())


def _chosen() -> dict[str, str]:
    return {name: text for name in NAMES if (text := request.args.get(name, "").strip())}


def _watched(chosen: dict[str, str], shown: Sequence[Mapping[str, Any]]) -> str | None:
    if "older" in request.args:
        return None
    top = newer.top(shown, "received_at", "webhook_id")
    return url_for("admin_webhooks.newer", than=top, **chosen)  # type: ignore[arg-type]


def _read(chosen: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The filters as the list of the API takes them, and what is not understood."""
    try:
        return dict(WebhookQuery().load(chosen)["filters"]), []
    except ValidationError as error:
        told = error.messages_dict
        return {}, [f"{NAMES.get(name, name)}: {_text(said)}" for name, said in told.items()]


def _text(said: Any) -> str:
    return " ".join(map(str, said)) if isinstance(said, list) else str(said)


def _part() -> Part:
    """From the cursor of the address on; from the newest, if it is none of ours."""
    try:
        cursor = Cursor.read(request.args["older"]) if request.args.get("older") else None
    except ValidationError:
        cursor = None
    return Part(limit=ROWS, offset=0, cursor=cursor, total=False)


def _way(chosen: dict[str, str], **more: str) -> str:
    return url_for("admin_webhooks.index", **chosen, **more)  # type: ignore[arg-type]
