"""Where a browser goes next: only ever to pages of ours."""

from __future__ import annotations

import re

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from payment_service.admin import cookies
from payment_service.domain.operators import Reach
from payment_service.domain.pages import PAGES
from payment_service.services.sessions import Begun

# One slash, then plain names: nothing that a browser could read as another host.
_OURS = re.compile(
    rf"{PAGES}(?:/[A-Za-z0-9][A-Za-z0-9_-]*)*/?(?:\?[A-Za-z0-9._~%&=+-]*)?", re.ASCII
)


def see(path: str) -> Response:
    """After a POST: the page to look at, by GET."""
    return redirect(path, 303)


def wanted() -> str:
    """The page that `next` in the query asks for, if it is one of ours; else the first page."""
    sent = request.args.get("next", "")
    return sent if _OURS.fullmatch(sent) else url_for("admin_desk.index")


def to_log_in(then: str | None = None) -> Response:
    """And from there to this page; else back to what was asked for, if that was one to look at."""
    return see(url_for("admin.log_in", next=then or _here()))


def to_second_factor() -> Response:
    return see(url_for("admin.second_factor", next=request.args.get("next") or _here()))


def to_step_up() -> Response:
    return see(url_for("admin.step_up", next=_here()))


def entered(begun: Begun) -> Response:
    """The way on of who has just logged in: what was wanted, or the second factor."""
    cookies.keep(begun.token)
    if begun.reach is Reach.ALL:
        return see(wanted())
    return see(url_for("admin.second_factor", next=request.args.get("next")))


def _here() -> str | None:
    here = request.full_path.removesuffix("?")
    return here if request.method == "GET" and here != url_for("admin_desk.index") else None
