"""The page behind the box that finds: one hit is opened, several are listed by kind."""

from __future__ import annotations

from typing import Any

from flask import current_app, request, url_for
from flask_admin import expose

from payment_service.admin.admission import now
from payment_service.admin.redirects import see
from payment_service.admin.views import Page
from payment_service.domain.finding import Kind
from payment_service.services import finding
from payment_service.services.finding import Hit
from payment_service.statements import TookTooLong

SHOWN = 200
"""Characters that the box takes, and shows again."""
KEYS = "admin_keys.index"
_LISTED = (Kind.TRIP, Kind.ORDER, Kind.RIDER, Kind.DRIVER, Kind.USER)
"""What the list of payments has a filter for."""


class Find(Page):
    path = "/find"

    @expose()
    def index(self) -> Any:
        pasted = request.args.get("q", "")
        try:
            finds = finding.find(now(), pasted=pasted)
        except TookTooLong:
            return self.render(narrow=True, asked_for=pasted[:SHOWN])
        if finds.one and (page := page_of(finds.one)):
            return see(page)
        whole = {
            kind: url_for("admin_payments.index", **{f"{kind}_id": number})  # type: ignore[arg-type]
            for kind, number in finds.numbers.items()
            if kind in _LISTED
        }
        return self.render(finds=finds, asked_for=pasted[:SHOWN], whole=whole, page_of=page_of)


def page_of(hit: Hit) -> str | None:
    """The address that shows it; None for a key that has no payment, where no page shows keys."""
    noun, which = hit.opens
    if noun == "payment":
        return url_for("admin_payment.index", payment_id=which)
    return url_for(KEYS, key=which) if KEYS in current_app.view_functions else None
