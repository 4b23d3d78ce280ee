"""Refunds that wait for a second person, the oldest first."""

from __future__ import annotations

import re

from flask import request, url_for
from flask_admin import expose

from payment_service.admin.views import Page
from payment_service.services import refund_request_lists as lists

SHOWN = 50
_ID = re.compile(r"[0-9]{1,18}", re.ASCII)


class Approvals(Page):
    path = "/approvals"

    @expose()
    def index(self) -> str:
        sent = request.args.get("after", "")
        after = int(sent) if _ID.fullmatch(sent) else 0
        found = lists.open_ones(after=after, limit=SHOWN + 1)
        shown = lists.with_payments(found[:SHOWN])
        more = found[SHOWN - 1]["request_id"] if len(found) > SHOWN else None
        return self.render(
            shown=shown,
            names=lists.names_of(asked["asked_by"] for asked, _ in shown),
            first=url_for("admin_approvals.index") if after else None,
            next=url_for("admin_approvals.index", after=more) if more else None,
        )
