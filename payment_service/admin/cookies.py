"""What the pages keep in a browser: the id of a session, and what makes forms ours."""

from __future__ import annotations

import hashlib
from typing import Any

from flask import Flask, Request, Response, after_this_request, g, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from payment_service.config import settings
from payment_service.domain.pages import is_page

_WHOSE = "whose"


def keep(token: str) -> None:
    """Has the answer put the id of a new session into the browser, and forget the forms of the one
    before, and of who was not logged in: from here on a form of theirs is refused."""
    _own_forms(token)

    @after_this_request
    def put(answer: Response) -> Response:
        answer.set_cookie(_name(), token, **_flags())
        return answer


def drop() -> None:
    """Has the answer take the id out of the browser."""
    _own_forms("")

    @after_this_request
    def take(answer: Response) -> Response:
        answer.delete_cookie(_name(), **_flags())
        return answer


def token() -> str | None:
    """The id that the browser sent."""
    return request.cookies.get(_name())


def expect_own_forms() -> None:
    """Before each request: what the browser keeps for forms is of the session that asks, or it is
    forgotten."""
    if session.get(_WHOSE) != _digest(token() or ""):
        _own_forms(token() or "")


def _own_forms(token: str) -> None:
    session.clear()
    session[_WHOSE] = _digest(token)
    g.pop("csrf_token", None)  # Flask-WTF's, made of the session as it was


def _digest(token: str) -> str:
    """Anybody can read a signed cookie; of 256 random bits their hash tells nothing."""
    return hashlib.sha256(token.encode()).hexdigest()


def _is_secure() -> bool:
    """Over plain HTTP, which is for development only, a browser takes no Secure cookie."""
    return settings().app_env == "production" or request.is_secure


def _name() -> str:
    # With __Host- a browser takes it over TLS only, for Path=/ and this very host: no other host
    # of our domain can put one there.
    return "__Host-payments" if _is_secure() else "payments_dev"


def _flags() -> dict[str, Any]:
    return {"path": "/", "secure": _is_secure(), "httponly": True, "samesite": "Lax"}


class Forms(SecureCookieSessionInterface):
    """Flask's session, signed and readable by the browser. It says who nobody is: it has what
    Flask-WTF compares a form's token with, what is told once after an act, and what single sign-on
    needs on its way back. Elsewhere than on pages there is none."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        return super().open_session(app, request) if is_page(request.path) else None

    def get_cookie_name(self, app: Flask) -> str:
        return f"{_name()}_forms"

    def get_cookie_secure(self, app: Flask) -> bool:
        return _is_secure()

    def get_cookie_samesite(self, app: Flask) -> str:
        return "Lax"
