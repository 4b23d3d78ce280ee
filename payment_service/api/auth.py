"""Who is asking, and whether they may. With AUTH_MODE=off the service listens on loopback only, and
whoever reaches it is one caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import structlog
from flask import Flask, current_app, g, request

from payment_service.api.headers import refuse_repeated
from payment_service.config import settings
from payment_service.config.kinds import each
from payment_service.domain.callers import LOCAL, RIDERS, Caller, Scope
from payment_service.domain.errors import (
    ForeignPage,
    InsufficientScope,
    InvalidToken,
    RidersOnly,
    RiderUnknown,
)
from payment_service.domain.pages import OPEN as OPEN
from payment_service.domain.pages import PageRule, is_payers_page
from payment_service.identity.claims import Bearer
from payment_service.identity.tokens import Tokens, refused
from payment_service.telemetry.metrics import REFUSED

log = structlog.get_logger(__name__)

CHANGE_NOTHING = ("GET", "HEAD", "OPTIONS")
"""Methods."""
Rule = Scope | Literal["riders"] | PageRule
"""What a token must allow, or that it must be a rider's (RIDERS); of a page, which takes no token,
who must be logged in; or OPEN."""
Rules = Mapping[str, Rule]
"""By endpoint."""


def guard(app: Flask, rules: Rules) -> None:
    """Has every request of the app meet its rule."""
    app.extensions["rules"] = rules
    found = app.extensions.get("settings")
    without_tokens = found is not None and found.auth_mode == "off"
    app.before_request(_refuse_foreign_pages if without_tokens else _admit)


def expect_rules(app: Flask) -> None:
    """Raises RuntimeError, naming each endpoint without a rule and each rule without its endpoint.
    To be called once all routes are there."""
    there = {rule.endpoint for rule in app.url_map.iter_rules()}
    wrong = sorted(there ^ app.extensions["rules"].keys())
    if wrong:
        raise RuntimeError(f"who may call them? ROUTES and the routes differ: {', '.join(wrong)}")


def caller() -> Caller:
    """The caller of this request, with the request's id; its line in the log names it."""
    if "caller" not in g:
        bearer: Bearer | None = g.get("bearer")
        g.caller = Caller(bearer.name if bearer else LOCAL, request_id=g.get("request_id"))
    found: Caller = g.caller
    return found


def rider() -> int | None:
    """The rider whose payments this request may see; None where it may see all."""
    bearer: Bearer | None = g.get("bearer")
    return bearer.rider_id if bearer else None


def own_rider() -> int:
    """The rider whose token this is. Raises RidersOnly for any other token, and where nobody is
    asked for one."""
    found = rider()
    if found is None:
        raise _riders_only()
    return found


def _riders_only() -> RidersOnly:
    return RidersOnly("this is for a rider's token; a service names the customer by its id")


def _refuse_foreign_pages() -> None:
    """Before each request where no token is asked for. Any site's page can have a browser on this
    machine send a form here, but the browser says so. Raises ForeignPage."""
    if request.method in CHANGE_NOTHING:
        return  # a link to here, and what it opens is shown to nobody else
    if is_payers_page(request.path):
        return  # a provider's page sends the payer back so, and what comes with it is not read
    if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        allowed = settings().allowed_origins
        if allowed is None or request.headers.get("Origin") not in each(allowed):
            raise ForeignPage("a page of another site asks; ALLOWED_ORIGINS does not name it")


def _admit() -> None:
    """Before each request. Raises InvalidToken, InsufficientScope, RiderUnknown, KeysUnavailable,
    and HeaderRepeated where it can't be said which token was sent."""
    if request.endpoint is None:
        return  # there is nothing at this path
    if request.method == "OPTIONS":
        return  # a browser asks so before it sends a token, and hears what the document says too
    rule: Rule = current_app.extensions["rules"][request.endpoint]
    if not isinstance(rule, Scope) and rule != RIDERS:
        return  # open, or a page: admin/ asks for the log-in
    refuse_repeated(request.environ)
    try:
        g.bearer = _bearer()
        caller()
        _expect(rule, g.bearer)
    except InvalidToken as error:
        _tell(error.members["reason"])
        raise
    except (InsufficientScope, RidersOnly, RiderUnknown) as error:
        _tell(error.code, caller=g.bearer.name, needed=rule)
        raise


def _bearer() -> Bearer:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise refused("missing")
    tokens: Tokens = current_app.extensions["tokens"]
    return tokens.bearer(token.strip(" "))


def _expect(rule: Rule, bearer: Bearer) -> None:
    if rule == RIDERS:
        if not bearer.is_rider:
            raise _riders_only()
    elif rule not in bearer.scopes:
        raise InsufficientScope(f"this needs the scope {rule}", scope=rule)
    if bearer.is_rider and bearer.rider_id is None:
        raise RiderUnknown("the token is a rider's, and has no rider's number")


def _tell(why: str, **more: str) -> None:
    REFUSED.labels(why).inc()
    log.info("refused", why=why, **more)
