"""The operators' pages: HTML in, HTML out, one service call each. Who may see which is here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask

from payment_service.admin import (
    admission,
    front,
    invites,
    log_in,
    me,
    second_factor,
    sessions,
    sso,
    step_up,
)
from payment_service.admin.times import time_in
from payment_service.domain.operators import Role
from payment_service.domain.pages import ANY_LOG_IN, OPEN, PAGES, PageRule

GET, POST, BOTH = ("GET",), ("POST",), ("GET", "POST")

# Path, methods, view and who may see it. What changes anything is a POST; a page that is not in
# this table stops the start, as for the API.
ROUTES: tuple[tuple[str, tuple[str, ...], Callable[..., Any], PageRule], ...] = (
    ("/", GET, front.index, Role.VIEWER),
    ("/login", BOTH, log_in.log_in, OPEN),
    ("/logout", POST, log_in.log_out, ANY_LOG_IN),
    ("/sso", GET, sso.sso_start, OPEN),
    ("/sso/callback", GET, sso.sso_callback, OPEN),
    ("/invite/<token>", BOTH, invites.invite, OPEN),
    ("/second-factor", BOTH, second_factor.second_factor, ANY_LOG_IN),
    ("/step-up", BOTH, step_up.step_up, ANY_LOG_IN),
    ("/me", GET, me.me, Role.VIEWER),
    ("/me/password", POST, me.change_password, Role.VIEWER),
    ("/me/preferences", POST, me.set_preferences, Role.VIEWER),
    ("/me/sessions/<id:session_id>/end", POST, me.end_session, Role.VIEWER),
    ("/me/sessions/end-others", POST, me.end_others, Role.VIEWER),
    ("/sessions", GET, sessions.all_sessions, Role.ADMIN),
    ("/sessions/<id:session_id>/end", POST, sessions.end_of_anybody, Role.ADMIN),
)


def register(app: Flask) -> None:
    """Puts the pages on the app, and their rules beside those of the API's routes."""
    blueprint = Blueprint("admin", __name__, url_prefix=PAGES)
    rules: dict[str, PageRule] = {}
    for path, methods, view, rule in ROUTES:
        blueprint.add_url_rule(path, view_func=view, methods=methods)
        rules[f"{blueprint.name}.{view.__name__}"] = rule
    blueprint.add_app_template_filter(time_in)
    admission.watch(app, blueprint, rules)
    app.register_blueprint(blueprint)
    app.extensions["rules"] = {**app.extensions["rules"], **rules}
