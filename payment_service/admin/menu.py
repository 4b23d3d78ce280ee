"""The menu, as far as who asks may go. Flask-Admin keeps it."""

from __future__ import annotations

from typing import NamedTuple

from flask import current_app, request
from flask_admin import Admin
from flask_admin.helpers import get_current_view

FIND = "admin_find.index"
"""Of the page that answers `GET /admin/find?q=`; each page has its box as soon as it is there."""


class Entry(NamedTuple):
    """One page in the menu. `now` is it, or one below it, which is looked at."""

    name: str
    url: str
    now: bool


def entries() -> list[Entry]:
    """Those that who asks may see; nobody who is not wholly logged in sees any."""
    frame: Admin = current_app.extensions["admin"][0]
    view = get_current_view()
    within = frame_view(frame, view.within) if view is not None and view.within else view
    shown = []
    for item in (*frame.menu(), *frame.menu_links()):
        if item.is_visible() and item.is_accessible():
            url = item.get_url()
            now = item.is_active(within) if within is not None else url == request.path
            shown.append(Entry(item.name, url, now))
    return shown


def frame_view(frame: Admin, endpoint: str) -> object:
    """The page with this endpoint."""
    return next(item._view for item in frame.menu() if item._view.endpoint == endpoint)


def finds() -> bool:
    """Whether there is a page that finds."""
    return FIND in current_app.view_functions
