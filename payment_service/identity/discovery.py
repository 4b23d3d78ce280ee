"""What an issuer's discovery document says, believed only where it is that issuer's own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from payment_service import http
from payment_service.config import Settings, production, urls


def document(issuer: str, until: float) -> dict[str, Any]:
    """The document of the issuer with this name. `until` is of time.monotonic().

    Raises http.Unreachable, http.Silence, and ValueError where it is another's or none.
    """
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    found: Any = got(url, until).json()
    if not isinstance(found, dict) or found.get("issuer") != issuer:
        raise ValueError("the discovery document is not of the issuer that is set")
    return found


def address(found: Mapping[str, Any], name: str, settings: Settings) -> str:
    """The address that the document gives under this name. Raises ValueError where there is none,
    or it leads to where what is sent could be exchanged on its way."""
    url = found.get(name)
    if not isinstance(url, str) or not urls.is_document(url):
        raise ValueError(f"the discovery document has no {name}")
    if urlsplit(found["issuer"]).scheme == "https" and urlsplit(url).scheme != "https":
        raise ValueError("the discovery document leads from https to http")
    if settings.app_env == "production" and production.in_the_open(url, settings):
        raise ValueError("the discovery document leads out of the cluster without TLS")
    return url


def got(url: str, until: float) -> http.Response:
    """What stands there. Raises http.Unreachable, http.Silence, and ValueError unless it is 200."""
    answer = http.call("GET", url, timeout=left(until))
    if answer.status != 200:
        raise ValueError(f"the issuer answered {answer.status}")
    return answer


def left(until: float) -> float:
    """Seconds, for a call that may take no longer than that."""
    return max(0.001, until - time.monotonic())
