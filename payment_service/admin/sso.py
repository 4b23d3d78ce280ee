"""Operators' single sign-on: a link that leads to the issuer, and where browsers come back to.

It begins by a link, because the policy of a page with a form (form-action 'self') also holds for
where the form's answer leads.
"""

from __future__ import annotations

import dataclasses
import hmac
import time
from typing import Any

import structlog
from flask import (
    abort,
    current_app,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask_login import current_user
from werkzeug.wrappers import Response

from payment_service.admin import cookies
from payment_service.admin.admission import from_another_site, now
from payment_service.admin.asking import asking
from payment_service.admin.redirects import see, to_log_in, wanted
from payment_service.domain.operators import Refused
from payment_service.identity.sso import (
    IssuerAway,
    Journey,
    NotTrusted,
    Person,
    SignOn,
    new_journey,
)
from payment_service.services import sessions, sso
from payment_service.telemetry.metrics import REFUSED

log = structlog.get_logger(__name__)

SECONDS = 600
"""To come back in. Some have to look for their telephone first."""
LONGEST = 1000
"""Characters of the page that waits meanwhile: browsers drop a cookie of over 4096 bytes."""

_KEPT = "sso"
_SAYS = {
    "state": "This log-in was begun in another browser, too long ago, or was used already.",
    "denied": "The log-in was not finished there.",
}
_LIE = "What came back from there is not to be trusted, so nobody was let in."


def sso_start() -> Response:
    """To the issuer. With `again` whoever is logged in has to show anew who he is. Whom a page of
    another site sends stays in the session that he has: a log-in would end it."""
    sign_on, again = _sign_on(), "again" in request.args
    if again and not current_user.is_authenticated:
        return to_log_in(wanted())
    if not again and current_user.is_authenticated and from_another_site():
        return see(wanted())
    begun = new_journey(again=again)
    try:
        where = sign_on.away(begun, _here())
    except IssuerAway as error:
        return _issuer_away(error)
    there = wanted() if len(wanted()) <= LONGEST else url_for("admin_desk.index")
    session[_KEPT] = {**dataclasses.asdict(begun), "next": there}
    return redirect(where)


def sso_callback() -> Response:
    """From the issuer, with a code or without."""
    sign_on, sent = _sign_on(), request.args
    kept: dict[str, Any] = session.pop(_KEPT, None) or {}
    there = kept.pop("next", url_for("admin_desk.index"))
    begun = Journey(**kept) if kept else None
    if begun is None or time.time() > begun.begun_at + SECONDS:
        return _not_trusted("state")
    if not hmac.compare_digest(sent.get("state", "").encode(), begun.state.encode()):
        return _not_trusted("state")
    if sent.get("iss", sign_on.issuer) != sign_on.issuer:
        return _not_trusted("issuer")
    if not sent.get("code"):
        return _not_trusted("denied")
    try:
        found = sign_on.person(begun, _here(), sent["code"])
    except IssuerAway as error:
        return _issuer_away(error)
    except NotTrusted as error:
        if error.is_lie:  # what anybody can send would let anybody fill the audit log
            address = asking()["address"]
            sso.write_refused(
                why=error.reason, issuer=sign_on.issuer, subject=None, address=address
            )
        return _not_trusted(error.reason)
    return _entered(found, begun, there)


def _entered(found: Person, begun: Journey, there: str) -> Response:
    """Whom the issuer let in, and whether we do."""
    is_known = current_user.is_authenticated
    who: dict[str, Any] = {"issuer": _sign_on().issuer, "state": begun.state, **asking()}
    who |= {"subject": found.subject, "auth_time": found.proved_at}
    try:
        if not begun.again:
            said: dict[str, Any] = {"email": found.email, "name": found.name, "role": found.role}
            entered = sso.log_in(**who, **said)
            if is_known:
                sessions.log_out(now())  # that of before, which this browser forgets
        elif is_known:
            entered = sso.step_up(now(), role=found.role, **who)
        else:
            return to_log_in(there)  # and never back to here: the code is used
    except Refused as error:
        return _failed(403, str(error))
    cookies.keep(entered.token)
    return see(there)


def _sign_on() -> SignOn:
    """Aborts with 404 where operators come in by password only."""
    found: SignOn | None = current_app.extensions["sso"]
    return found or abort(404)


def _here() -> str:
    """The address to come back to, as the issuer must know it."""
    return url_for("admin.sso_callback", _external=True)


def _issuer_away(error: IssuerAway) -> Response:
    log.warning("sso_issuer_away", error=str(error))
    return _failed(503, "The service where you log in gives no answer. Wait a moment.")


def _not_trusted(reason: str) -> Response:
    REFUSED.labels("sso").inc()
    log.warning("sso_refused", why=reason)
    return _failed(403, _SAYS.get(reason, _LIE))


def _failed(status: int, says: str) -> Response:
    return make_response(render_template("admin/sso_failed.html", says=says), status)
