"""The list of payments, with its filters in its address."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, current_app, request, url_for
from flask_admin import expose
from marshmallow import ValidationError

from payment_service import replica
from payment_service.admin import newer
from payment_service.admin.admission import may_see, now
from payment_service.admin.many_payments import all_that_fit, export_of
from payment_service.admin.payment_filters import DAYS, Asked, asked
from payment_service.admin.views import Page
from payment_service.domain.pages import MAY, Deed
from payment_service.domain.payment_filters import FILTERS, IDS, LABELS, WITHIN
from payment_service.domain.vocabulary import Method, PaymentStatus
from payment_service.schemas.lists import Cursor
from payment_service.services import browsing, saved_views
from payment_service.services.browsing import Leaf
from payment_service.statements import TookTooLong

_COMES_LATER = frozenset({"stuck", "refunded", "contradicted"})
"""Filters that a payment fits some time after it was created; in the list it stands where it was
created, which need not be on top."""


class Payments(Page):
    path = "/payments"

    @expose()
    def index(self) -> Any:
        wanted = asked(request.args, now().timezone)
        leaf, narrow = _found(wanted)
        page = self.render(
            asked=wanted,
            leaf=leaf,
            narrow=narrow,
            statuses=list(PaymentStatus),
            methods=list(Method),
            providers=_providers(wanted),
            names=LABELS,
            ids=IDS,
            withins=WITHIN,
            days=DAYS,
            views=saved_views.listed(now()),
            may_share=may_see(MAY[Deed.SHARE_VIEW]),
            here=_here,
            newer=_way(wanted, "newer", leaf),
            older=_way(wanted, "older", leaf),
            watched=None if narrow else _watched(wanted, leaf),
            may_act=may_see(MAY[Deed.RESOLVE]),
            all_that_fit=all_that_fit(wanted),
            export=export_of(wanted),
        )
        return page, 422 if wanted.wrong else 200

    @expose("/newer")
    def newer(self) -> Response:
        """What the page asks by itself: whether rows came in above its first one. 204 for none."""
        wanted, than = asked(request.args, now().timezone), newer.than()
        try:
            with replica.may_answer(wanted.filters):
                count = (
                    0 if wanted.wrong else browsing.newer_than(filters=wanted.filters, cursor=than)
                )
        except TookTooLong:
            abort(422, "This takes too long to be told.")
        return newer.told(count, browsing.ROWS)


def _providers(wanted: Asked) -> list[str]:
    """Those that are on, and the one that is chosen, which may be off by now."""
    on = {provider.name for provider in current_app.extensions["providers"].all()}
    return sorted(on | ({wanted.chosen["provider"]} if "provider" in wanted.chosen else set()))


def _found(wanted: Asked) -> tuple[Leaf, bool]:
    """The rows, and whether the database was given up on."""
    nothing = Leaf([], None, None)
    if wanted.wrong:
        return nothing, False
    try:
        cursors: dict[str, Any] = {
            name: Cursor.read(request.args[name])
            for name in ("older", "newer")
            if request.args.get(name)
        }
    except ValidationError:
        cursors = {}
    try:
        beside = next((cursor.created_at for cursor in cursors.values()), None)
        with replica.may_answer(wanted.filters, beside=beside):
            return browsing.look_through(filters=wanted.filters, **cursors), False
    except TookTooLong:
        return nothing, True


def _here(without: str = "", **changed: str) -> str:
    """The first page of this list with one filter less, or with others."""
    kept = {name: text for name, text in request.args.items() if name in FILTERS and text}
    kept = {name: text for name, text in kept.items() if name != without} | changed
    return url_for("admin_payments.index", **kept)  # type: ignore[arg-type]


def _watched(wanted: Asked, leaf: Leaf) -> str | None:
    """The address that tells of newer rows; None where new ones don't come in on top, or where the
    page does not begin there."""
    if wanted.wrong or leaf.newer or not _COMES_LATER.isdisjoint(wanted.chosen):
        return None
    top = newer.top(leaf.rows, "created_at", "payment_id")
    return url_for("admin_payments.newer", than=top, **wanted.chosen)  # type: ignore[arg-type]


def _way(wanted: Asked, name: str, leaf: Leaf) -> str | None:
    cursor: Cursor | None = getattr(leaf, name)
    return _here(**{name: str(cursor)}) if cursor else None
