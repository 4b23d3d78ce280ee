"""The payer's way: the link that sends a browser on to the provider's page, and the page to which
that leads back. For people, so all of it answers in HTML; without cookies.

Whoever has the link is let in. What a browser brings is never believed: neither its query nor its
body.
"""

from __future__ import annotations

from flask import Blueprint, Flask, abort, g, redirect, request
from werkzeug.wrappers import Response

from payment_service.api import pay_pages
from payment_service.api.auth import OPEN, Rules
from payment_service.config.urls import origin_of
from payment_service.domain.pages import PAYERS_PAGES
from payment_service.domain.payers import Stand
from payment_service.services import payers
from payment_service.services.moves import links
from payment_service.services.payers import Visit

NAME = "pay"

LOOKS = 30
"""How often a page that says "not yet" asks again by itself, every two seconds: a minute in all. A
payer who is not believed by then is told so, and may go."""

_LINK = f"{PAYERS_PAGES}/<id:payment_id>/<mac>"


def register(app: Flask) -> Rules:
    """Puts the pages on the app, and gives their rules. They are in no document: nobody calls them
    but a browser."""
    blueprint = Blueprint(NAME, __name__)
    blueprint.add_url_rule(_LINK, view_func=go)
    blueprint.add_url_rule(f"{_LINK}/return", view_func=come_back, methods=["GET", "POST"])
    app.register_blueprint(blueprint)
    return {f"{NAME}.{view.__name__}": OPEN for view in (go, come_back)}


def go(payment_id: int, mac: str) -> Response:
    """On to the provider's page while the payment waits; how it stands where it no longer does."""
    visit = _visit(payment_id, mac)
    if visit.page is None:
        return pay_pages.stand(visit)
    kind, url = visit.page.get("type"), visit.page.get("url")
    if kind != "redirect":
        return pay_pages.elsewhere(visit, back=f"{mac}/return")
    origin = origin_of(str(url))
    if origin is None:
        return pay_pages.stand(visit)  # no address of a page, so nobody is sent there
    if "form" in visit.page:
        return pay_pages.posting(visit, origin)
    return redirect(str(url), 303)


def come_back(payment_id: int, mac: str) -> Response:
    """From the provider's page: the payment is looked up at once, and its payer told how it stands.

    What came with it goes no further than here, not even into the address that the browser shows.
    """
    looks = _looks()
    visit = _visit(payment_id, mac)
    if visit.stand is Stand.WAITING or looks is None:
        payers.hasten(payment_id)
    if looks is None:
        return redirect("return?look=1", 303)
    again = f"return?look={looks + 1}" if looks < LOOKS else None
    return pay_pages.stand(visit, again=again, returned=True)


def _looks() -> int | None:
    """The how manieth look of the page by itself this is; None for what the provider sent."""
    look = request.args.get("look", "")
    ours = request.method == "GET" and list(request.args) == ["look"]
    return int(look) if ours and look.isascii() and look.isdigit() and len(look) < 4 else None


def _visit(payment_id: int, mac: str) -> Visit:
    """Aborts with 404 for a link that is none of ours, without a word about the payment."""
    if not links.is_genuine(payment_id, mac):
        abort(404)
    visit = payers.visit(payment_id)
    if visit is None:
        abort(404)
    g.payment_id = payment_id  # for the log
    return visit
