"""Who is logged in, and whether they may see the page. Flask-Login is asked for current_user and
for what becomes of who is not logged in.

Its own session is not used: a copy of that cookie would stay good after the log-out. Nor is its
init_app, which would put a hook for its remember-me, which there is not, on every request of the
API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from flask import Blueprint, Flask, Request, abort, current_app, g, request, url_for
from flask_login import LoginManager, UserMixin, current_user
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import Conflict, Forbidden, HTTPException, ServiceUnavailable
from werkzeug.wrappers import Response

from payment_service.admin import cookies, menu
from payment_service.admin.redirects import see, to_log_in, to_second_factor
from payment_service.domain.callers import Caller
from payment_service.domain.operators import Busy, OutOfReach, Reach, Refused, Role
from payment_service.domain.pages import ANY_LOG_IN, OPEN, NotAllowed, PageRule, is_at_least
from payment_service.domain.vocabulary import Actor
from payment_service.models.keyring import NoKey
from payment_service.services import chain_alarm, sessions
from payment_service.services.sessions import Current
from payment_service.telemetry.metrics import REFUSED

log = structlog.get_logger(__name__)

_CHANGE_NOTHING = ("GET", "HEAD", "OPTIONS")
_FORM = "application/x-www-form-urlencoded"
_BY_ITSELF = "X-By-Itself"
"""The header that panel.js gives to what it asks for while nobody does anything."""
_csrf = CSRFProtect()


class LoggedIn(UserMixin):
    """Flask-Login's user."""

    def __init__(self, now: Current) -> None:
        self.now = now

    def get_id(self) -> str:
        return str(self.now.operator_id)


def now() -> Current:
    """Who asks. Only for pages that ask for a log-in."""
    found: Current = current_user.now
    return found


def leave() -> None:
    """Ends the session that this browser had, before it forgets it for another one."""
    if current_user.is_authenticated:
        sessions.log_out(now())


def from_another_site() -> bool:
    """Whether the browser says that a page of another site sent it here."""
    return request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")


def prepare(app: Flask) -> None:
    """Readies the app for log-ins and for forms that only our pages can send."""
    app.session_interface = cookies.Forms()
    # Only the pages take a cookie, so only they must know who made a form. What says so is good
    # for as long as the session for which it was made: a tab stays open for a shift.
    app.config.update(WTF_CSRF_CHECK_DEFAULT=False, WTF_CSRF_TIME_LIMIT=None)
    _csrf.init_app(app)
    log_ins = LoginManager()
    log_ins.session_protection = None  # it would write into Flask's session
    log_ins.request_loader(_of_cookie)
    log_ins.unauthorized_handler(to_log_in)
    app.login_manager = log_ins  # type: ignore[attr-defined]
    # Where a browser sends a cookie of this name, Flask-Login asks no further.
    app.config["REMEMBER_COOKIE_NAME"] = "payments nobody is remembered"


def guard(blueprint: Blueprint) -> None:
    """Has every request for a page of the blueprint meet its rule."""
    blueprint.before_request(_expect_own_form)
    blueprint.before_request(_meet_rule)
    blueprint.register_error_handler(Refused, _told)
    blueprint.register_error_handler(NoKey, _without_key)
    blueprint.context_processor(_shown)


def _meet_rule() -> Any:
    rules: Mapping[str, PageRule] = current_app.extensions["rules"]
    return admit(rules[request.endpoint or ""])


def admit(rule: PageRule) -> Any:
    """What is told to who may not see a page with this rule, None to who may. Aborts with 403."""
    if rule == OPEN:
        return None
    if not current_user.is_authenticated:
        return to_log_in()
    return _refused(rule, now())


def may_see(role: Role) -> bool:
    """Whether who asks has this role or one that may do more. It asks nobody: of a request that was
    not admitted it says no."""
    found: Current | None = g.get("operator")
    return found is not None and found.reach is Reach.ALL and is_at_least(found.role, role)


def _of_cookie(sent: Request) -> LoggedIn | None:
    """What a page asks for by itself is no use of the session: a desk that nobody sits at would
    stay open for ever."""
    found = sessions.current(cookies.token(), in_use=_BY_ITSELF not in sent.headers)
    return LoggedIn(found) if found else None


def _expect_own_form() -> None:
    """Only a page of ours may post: browsers say where a request comes from (the few that don't are
    from before 2023), and a form holds what no other site can read. Aborts with 400 or 403."""
    if not current_app.secret_key:
        abort(503, "SECRET_KEY is not set, and pages need it")
    cookies.expect_own_forms()
    if request.method in _CHANGE_NOTHING:
        return
    if from_another_site():
        _tell("foreign_page")
        abort(403, "A page of another site sent this. Nothing was done.")
    try:
        _csrf.protect()
    except CSRFError:  # also whoever takes no cookies, or logged in or out in another tab meanwhile
        _tell("forged")
        abort(400, "This form is no longer good. Open its page again and send it from there.")
    if request.mimetype != _FORM:  # Flask-WTF reads files and JSON too, whose fields are no texts
        abort(415, "No form of these pages is sent like this.")


def _refused(rule: PageRule, now: Current) -> Response | None:
    """What is told to who is logged in and may not see the page. Aborts with 403."""
    g.operator, g.session_id = now, now.session_id
    g.caller = Caller(
        now.by.name, Actor.OPERATOR, g.get("request_id"), now.session_id, request.remote_addr
    )
    if rule == ANY_LOG_IN:
        return None
    if now.reach is not Reach.ALL:
        return to_second_factor()
    if not isinstance(rule, Role) or not is_at_least(now.role, rule):
        _tell("role")
        abort(403, f"This is for operators with the role {rule}. Yours is {now.role}.")
    if request.method == "GET":
        g.alarm = chain_alarm.standing()
    return None


def _told(error: Refused) -> Any:
    """What no form has a place for."""
    if isinstance(error, OutOfReach):  # ended meanwhile: what is left to see, the first page says
        return see(url_for("admin_desk.index"))
    told: type[HTTPException] = ServiceUnavailable if isinstance(error, Busy) else Conflict
    if isinstance(error, NotAllowed):
        told = Forbidden
    return current_app.handle_user_exception(told(str(error)))


def _without_key(error: NoKey) -> Any:
    told = ServiceUnavailable(f"{error}, and second factors are kept under it.")
    return current_app.handle_user_exception(told)


def _tell(why: str) -> None:
    REFUSED.labels(why).inc()
    log.info("refused", why=why)


def _shown() -> dict[str, Any]:
    """What each template has. It asks nobody: a page of an error is made of it, too."""
    return {
        "operator": g.get("operator"),
        "menu": menu.entries(),
        "finds": menu.finds(),
        "alarm": g.get("alarm"),
    }
