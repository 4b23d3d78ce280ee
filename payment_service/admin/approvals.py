"""Refunds that wait for a second person, the oldest first."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask import Response, abort, request, url_for
from flask_admin import expose

from payment_service.admin import newer
from payment_service.admin.views import Page
from payment_service.services import refund_request_lists as lists
from payment_service.services.moves.refund_holds import RefundRequestRow

SHOWN = 50
_ID = re.compile(r"[0-9]{1,18}", re.ASCII)


class Approvals(Page):
    path = "/approvals"

    @expose()
    def index(self) -> str:
        after = _after() or 0
        found = lists.open_ones(after=after, limit=SHOWN + 1)
        shown = lists.with_payments(found[:SHOWN])
        more = found[SHOWN - 1]["request_id"] if len(found) > SHOWN else None
        return self.render(
            shown=shown,
            names=lists.names_of(asked["asked_by"] for asked, _ in shown),
            here=url_for("admin_approvals.index", after=after or None),
            # On the last page only: new ones come in at its end.
            watched=None if more else _watched(found, after),
            first=url_for("admin_approvals.index") if after else None,
            next=url_for("admin_approvals.index", after=more) if more else None,
        )

    @expose("/newer")
    def newer(self) -> Response:
        if (after := _after()) is None:
            abort(422, "This is no request that a list of ours had at its end.")
        return newer.told(len(lists.open_ones(after=after, limit=SHOWN)), SHOWN)


def _after() -> int | None:
    """The request behind which to begin, if the address says one."""
    sent = request.args.get("after", "")
    return int(sent) if _ID.fullmatch(sent) else None


def _watched(found: Sequence[RefundRequestRow], after: int) -> str:
    last = found[-1]["request_id"] if found else after
    return url_for("admin_approvals.newer", after=last)
