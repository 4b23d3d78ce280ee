"""Makes tokens, for development: with the shared secret, or at the sandbox's identity service."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

import jwt

from payment_service import http
from payment_service.config import Settings

PATIENCE = 5.0
"""Seconds for the issuer; somebody waits at a terminal."""


class NoToken(Exception):
    """It can't be made here. The message says why."""


def make(settings: Settings, *, sub: str, scope: str, role: str | None, seconds: int) -> str:
    """A token that this service takes. Raises NoToken."""
    if settings.app_env == "production":
        raise NoToken("tokens are not made here with APP_ENV=production; the issuer makes them")
    if settings.jwt_secret:
        now = int(time.time())
        claims: dict[str, Any] = {
            "sub": sub,
            "aud": settings.jwt_audience,
            "scope": scope,
            "iat": now,
            "exp": now + seconds,
            **({"role": role} if role else {}),
        }
        return jwt.encode(claims, settings.jwt_secret, algorithm="HS256")
    if settings.jwt_issuer:
        form = {"client_id": sub, "scope": scope, "seconds": str(seconds)}
        form |= {"role": role} if role else {}
        return _asked(settings.jwt_issuer, {**form, "audience": settings.jwt_audience})
    raise NoToken(
        "set JWT_SECRET, or JWT_ISSUER to the sandbox's /identity: a token is made where its key is"
    )


def _asked(issuer: str, form: dict[str, str]) -> str:
    """At the sandbox, any secret does; another issuer knows nobody of that name."""
    form = {"grant_type": "client_credentials", "client_secret": "development", **form}
    try:
        answer = http.call(
            "POST",
            f"{issuer.rstrip('/')}/token",
            timeout=PATIENCE,
            data=urlencode(form).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        body = answer.json()
    except (http.Unreachable, http.Silence, ValueError) as error:
        raise NoToken(f"the issuer gave none: {error}") from None
    made = body.get("access_token") if isinstance(body, dict) else None
    if answer.status != 200 or not isinstance(made, str):
        raise NoToken(f"the issuer gave none: it answered {answer.status}")
    return made
