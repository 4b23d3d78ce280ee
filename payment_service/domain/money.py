"""Money as integer minor units and an ISO 4217 currency; decimal strings at the edges.

Nothing here is ever a float. Exponents come from the ISO 4217 table in PyPI's iso4217.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation, localcontext

from iso4217 import Currency

# Fund and accounting codes of ISO 4217 (list one marks them as funds only in prose): nobody
# pays a ride with them.
FUNDS = frozenset({"BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW", "XAD"})

EXPONENTS: dict[str, int] = {
    currency.code: int(currency.exponent)
    for currency in Currency
    if currency.exponent is not None and currency.code not in FUNDS
}
"""Minor-unit digits of every currency in use: INR 2, JPY 0, KWD 3. Metals, XXX, XTS are absent."""

EXACT = Context(prec=120, traps=[Inexact, InvalidOperation])
"""Digits enough for the product of a fare's parts (trips.py bounds each). Python's usual 28 would
round in silence; this raises ArithmeticError rather than round."""

_PLAIN_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?\Z", re.ASCII)


class BadAmount(ValueError):
    """The text or number is not an amount of this currency; the message says what to send."""


def exponent(currency: str) -> int:
    """Number of minor-unit digits of `currency`. Raises KeyError for a currency not in use."""
    return EXPONENTS[currency]


def expect_known(currency: str) -> None:
    """Raises ValueError for what is no currency in use."""
    if currency not in EXPONENTS:
        raise ValueError("must be an ISO 4217 code of money in use, such as INR")


def to_decimal(minor: int, currency: str) -> Decimal:
    """Minor units to major units, with exactly the currency's digits: 10486 INR -> 104.86."""
    with localcontext(EXACT):
        return Decimal(minor).scaleb(-EXPONENTS[currency])


def format_amount(minor: int, currency: str) -> str:
    """Minor units as the wire writes them: 10486 INR -> "104.86", 5 KWD -> "0.005"."""
    digits = EXPONENTS[currency]
    if digits == 0:
        return str(minor)
    sign, text = ("-", str(-minor)) if minor < 0 else ("", str(minor))
    text = text.rjust(digits + 1, "0")
    return f"{sign}{text[:-digits]}.{text[-digits:]}"


def with_code(minor: int, currency: str) -> str:
    """10486 INR -> "104.86 INR"."""
    return f"{format_amount(minor, currency)} {currency}"


def parse_amount(value: str | int | Decimal, currency: str) -> int:
    """Read an amount in major units exactly, to minor units.

    `value` is a string, or a JSON number that came as int or Decimal. Plain ASCII digits with at
    most one point are taken. Raises BadAmount for a sign, an exponent, a space, NaN, or more
    decimals than the currency has; zero is the caller's business.
    """
    # Not format(value, "f"): of 1e999999999 that would be a text of a billion digits.
    text = str(value)
    if not _PLAIN_DECIMAL.match(text):
        raise BadAmount("write the amount with plain digits, such as 104.86")
    whole, _, fraction = text.partition(".")
    digits = EXPONENTS[currency]
    if len(fraction) > digits:
        raise BadAmount(f"{currency} has {digits} decimals, this amount has {len(fraction)}")
    return int(whole + fraction.ljust(digits, "0"))


def exact_minor(value: Decimal, currency: str) -> int:
    """Major units to minor units, of any size; zeros behind the currency's decimals don't count.

    Raises BadAmount for a part of a minor unit.
    """
    with localcontext(EXACT):
        minor = value.scaleb(EXPONENTS[currency])
        if minor != minor.to_integral_value():
            raise BadAmount(f"{currency} has {EXPONENTS[currency]} decimals, this amount has more")
    return int(minor)


def round_to_minor(value: Decimal, currency: str) -> int:
    """Round a computed amount of major units once, half up, to minor units."""
    with localcontext(EXACT):
        minor = value.scaleb(EXPONENTS[currency])
        return int(minor.to_integral_value(rounding=ROUND_HALF_UP))
