"""Which settings the payer's way needs. What is missing is told at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from payment_service.config.kinds import each
from payment_service.config.reading import Faults
from payment_service.config.urls import is_loopback

if TYPE_CHECKING:
    from payment_service.config import Settings

NEEDED = ("secret_key", "encryption_keys")
"""By the one our links are made, by the other the provider's page is kept."""


def origins(found: Settings) -> frozenset[str]:
    """Those to which a payer may be led back."""
    return frozenset(each(found.return_origins) if found.return_origins else ())


def is_in_the_open(origin: str, found: Settings) -> bool:
    """Whether a payer would be led there without TLS; this machine's own is for development."""
    url = urlsplit(origin)
    mine = is_loopback(url.hostname or "") and found.app_env != "production"
    return url.scheme != "https" and not mine


def faults(found: Settings, wrong: Faults) -> Faults:
    """A rule for config.load."""
    told: Faults = {}
    if found.public_url:
        for name in NEEDED:
            if not getattr(found, name) and name.upper() not in wrong:
                told[name.upper()] = ["missing; PUBLIC_URL needs it"]
    if any(is_in_the_open(origin, found) for origin in origins(found)):
        told["RETURN_ORIGINS"] = ["must be https://; in development this machine's own may be http"]
    return told
