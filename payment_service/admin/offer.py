"""One line of the catalog is edited: looked at first, and then done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import abort, flash, render_template, request, url_for

from payment_service.admin.admission import now
from payment_service.admin.redirects import see
from payment_service.services import catalog_edits
from payment_service.services.catalog_edits import BadOffer, Edit, UnknownOffer


def look_at_offer(offer_id: int) -> Any:
    """As it stands; with an edit in the address, what that would change. Nothing is done."""
    try:
        line = catalog_edits.preview(offer_id=offer_id, edit=Edit(True, 0)).line
    except UnknownOffer as error:
        abort(404, str(error))
    stands = Edit(line.is_active, line.position)
    if "position" not in request.args:
        return _page(offer_id, stands)
    try:
        return _page(offer_id, _edit(request.args))
    except BadOffer as error:
        return _page(offer_id, stands, str(error)), 422


def edit_offer(offer_id: int) -> Any:
    edit, was = _edit(request.form), _edit(request.form, "was_")
    changed = catalog_edits.edit(offer_id=offer_id, edit=edit, was=was, by=now().by)
    flash("The catalog is changed." if changed else "It was so already.")
    return see(url_for("admin_catalog.index"))


def _page(offer_id: int, edit: Edit, said: str = "") -> str:
    affected = catalog_edits.preview(offer_id=offer_id, edit=edit)
    stands = Edit(affected.line.is_active, affected.line.position)
    return render_template(
        "admin/offer.html", affected=affected, edit=edit, stands=stands, said=said
    )


def _edit(sent: Mapping[str, str], prefix: str = "") -> Edit:
    """Raises BadOffer."""
    position = sent.get(f"{prefix}position", "").strip()
    if not (position.isascii() and position.isdecimal() and len(position) <= 9):
        raise BadOffer("A place is a number, such as 3.")
    return Edit(sent.get(f"{prefix}is_active") == "yes", int(position))
