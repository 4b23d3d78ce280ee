"""Bearer tokens for tests, good and bad, and the settings of a service that takes the good ones."""

from __future__ import annotations

import time
from typing import Any

import jwt

SECRET = "a secret of tests, which has more than 32 bytes"
SECURED = {"auth_mode": "jwt", "jwt_secret": SECRET}
"""Settings."""
SCOPES = ("payments:read", "payments:write", "refunds:write", "payments:admin")


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a service that may do all; None leaves one out."""
    usual = {
        "sub": "trip-service",
        "aud": "payment-service",
        "exp": int(time.time()) + 3600,
        "scope": " ".join(SCOPES),
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def a_token(**changes: Any) -> str:
    """Signed with SECRET."""
    return jwt.encode(claims(**changes), SECRET, algorithm="HS256")


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
