"""OAuth2 client credentials for the dialects that want them: any client, any secret but `wrong`."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import Any

from flask import Response, request

from payment_service.sandbox.behaviours import answered
from payment_service.sandbox.faults import Ask, Whim
from payment_service.sandbox.replies import reply
from payment_service.sandbox.state import the_state

# Tokens end with the process that gave them.
_KEY = secrets.token_bytes(32)


def answer_token(dialect: str, seconds: float) -> Response:
    """What the dialect's token endpoint answers to the form that is being served."""
    form = request.form
    fields = {**form.to_dict(), "dialect": dialect}

    def do(whim: Whim) -> Response:
        if form.get("grant_type") != "client_credentials":
            return reply(400, {"error": "unsupported_grant_type"})
        if not form.get("client_id") or form.get("client_secret", "wrong") == "wrong":
            return reply(401, {"error": "invalid_client"})
        return reply(200, _given(dialect, form.get("scope"), seconds))

    return answered(the_state(), Ask("token", request.method, request.path, fields), do)


def is_authorized(dialect: str) -> bool:
    """Whether the request that is being served bears a token of this dialect that is good."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    until, _, mac = token.partition(".")
    expected = _mac(dialect, until).encode()
    good = kind == "Bearer" and hmac.compare_digest(expected, mac.encode())
    return good and time.time() < float(until)


def _given(dialect: str, scope: str | None, seconds: float) -> dict[str, Any]:
    until = f"{time.time() + seconds:.0f}"
    token = f"{until}.{_mac(dialect, until)}"
    told: dict[str, Any] = {"access_token": token, "token_type": "Bearer", "expires_in": seconds}
    return told | ({"scope": scope} if scope else {})


def _mac(dialect: str, until: str) -> str:
    return hmac.new(_KEY, f"{dialect} {until}".encode(), hashlib.sha256).hexdigest()
