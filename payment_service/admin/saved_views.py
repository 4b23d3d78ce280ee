"""Views of the list of payments: kept, renamed, shared and deleted. Each leads back to the list."""

from __future__ import annotations

from typing import Any

from flask import flash, request, url_for

from payment_service.admin.admission import now
from payment_service.admin.redirects import see
from payment_service.domain.payment_filters import FILTERS
from payment_service.domain.saved_views import BadView, NameTaken, TooManyViews, UnknownView
from payment_service.services import saved_views

_TOLD = (BadView, NameTaken, TooManyViews, UnknownView)
"""What is told above the list, which is as it was."""


def save_view() -> Any:
    try:
        saved_views.save(now(), name=request.form.get("name", ""), query=_filters())
    except _TOLD as error:
        return _back(str(error))
    return _back("The view is saved. You alone see it until you share it.")


def rename_view(view_id: int) -> Any:
    try:
        saved_views.rename(now(), view_id=view_id, name=request.form.get("name", ""))
    except _TOLD as error:
        return _back(str(error))
    return _back("The view has its new name.")


def share_view(view_id: int) -> Any:
    shared = request.form.get("shared") == "yes"
    try:
        saved_views.share(now(), view_id=view_id, shared=shared)
    except _TOLD as error:
        return _back(str(error))
    return _back("All operators see the view now." if shared else "You alone see the view now.")


def delete_view(view_id: int) -> Any:
    try:
        saved_views.delete(now(), view_id=view_id)
    except _TOLD as error:
        return _back(str(error))
    return _back("The view is deleted.")


def _filters() -> dict[str, str]:
    """Those that the list had when the form was drawn."""
    return {name: request.form[name] for name in FILTERS if request.form.get(name)}


def _back(said: str) -> Any:
    flash(said)
    return see(url_for("admin_payments.index", **_filters()))  # type: ignore[arg-type]
