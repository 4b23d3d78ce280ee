"""Which settings together say who may call, and what of it is refused at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.config.reading import Faults
from payment_service.config.urls import is_loopback

if TYPE_CHECKING:
    from payment_service.config import Settings

SOURCES = ("jwt_issuer", "jwt_jwks_url", "jwt_public_key_url", "jwt_public_key", "jwt_secret")
"""Where the keys come from by which tokens are verified: one of these."""

SHARED = ("HS256",)
"""By a secret that both sides have. Whoever knows it can make tokens."""
PUBLIC = ("RS256", "PS256", "ES256", "EdDSA")


def faults(found: Settings, wrong: Faults) -> Faults:
    """What keeps the service from knowing its callers, unless something else is to be mended first.
    A rule for config.load."""
    if wrong.keys() & {"AUTH_MODE", "APP_ENV", "SERVICE_HOST", *map(str.upper, SOURCES)}:
        return {}
    return _of_off(found) if found.auth_mode == "off" else _of_jwt(found)


def algorithms(found: Settings) -> tuple[str, ...]:
    """Those by which a token may be signed: what its keys are for, narrowed by JWT_ALGORITHMS."""
    usual = SHARED if found.jwt_secret else PUBLIC
    return tuple(name for name in usual if name in (found.jwt_algorithms or usual))


def _of_off(found: Settings) -> Faults:
    """Without tokens whoever reaches the service may charge and refund."""
    if found.app_env == "production":
        return {"AUTH_MODE": ["off is refused with APP_ENV=production; set jwt"]}
    if not is_loopback(found.service_host):
        return {"AUTH_MODE": ["off is refused unless SERVICE_HOST is 127.0.0.1, ::1 or localhost"]}
    return {}


def _of_jwt(found: Settings) -> Faults:
    named = [name.upper() for name in SOURCES if getattr(found, name)]
    if not named:
        all_of_them = ", ".join(name.upper() for name in SOURCES[1:])
        return {
            "JWT_ISSUER": [
                f"missing; set it, or one of {all_of_them}; or AUTH_MODE=off, on a machine that"
                " nobody else reaches"
            ]
        }
    if len(named) > 1:
        return {
            name: [f"keys come from one place; set one of {', '.join(named)}"] for name in named
        }
    if not algorithms(found):
        fitting = ", ".join(SHARED if found.jwt_secret else PUBLIC)
        return {"JWT_ALGORITHMS": [f"none of these fits {named[0]}, which is for {fitting}"]}
    return {}
