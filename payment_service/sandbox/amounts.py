"""Minor units and decimal strings, in integers only."""

from __future__ import annotations

from functools import lru_cache

from iso4217 import Currency


@lru_cache(maxsize=512)
def exponent(currency: str) -> int | None:
    """Decimals of an ISO 4217 currency; None if it is unknown or has no minor unit."""
    try:
        return Currency(currency).exponent
    except ValueError:
        return None


def decimal_string(minor: int, currency: str) -> str:
    """Minor units as a string with exactly the currency's decimals: 10486 INR is "104.86"."""
    digits = exponent(currency) or 0
    if digits == 0:
        return str(minor)
    whole, rest = divmod(minor, 10**digits)
    return f"{whole}.{rest:0{digits}d}"
