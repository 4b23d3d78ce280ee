"""Amounts in words, as on a cheque: a figure that is read aloud is not misread by a factor of ten.

Babel writes figures and names currencies, but spells no numbers; the panel's language is English.
"""

from __future__ import annotations

from babel.numbers import get_currency_name

from payment_service.domain import money

_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
_TENS = (
    *("", "", "twenty", "thirty", "forty", "fifty"),
    *("sixty", "seventy", "eighty", "ninety"),
)
_SCALES = ("", " thousand", " million", " billion", " trillion", " quadrillion", " quintillion")
"""As far as a bigint goes."""


def spelled(minor: int, currency: str) -> str:
    """10486 INR is "one hundred and four Indian rupees and 86/100"."""
    unit = 10 ** money.exponent(currency)
    whole, part = divmod(minor, unit)
    name = get_currency_name(currency, count=whole, locale="en")
    rest = f" and {part:0{len(str(unit)) - 1}}/{unit}" if part else ""
    return f"{in_words(whole)} {name}{rest}"


def in_words(number: int) -> str:
    """A whole number that is not negative."""
    if number < 1000:
        return _below_thousand(number)
    groups = []
    for scale in _SCALES:
        number, group = divmod(number, 1000)
        if group:
            # "one thousand and four", but "one thousand four hundred"
            join = "and " if not scale and group < 100 and number else ""
            groups.append(f"{join}{_below_thousand(group)}{scale}")
    return " ".join(reversed(groups))


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    if hundreds:
        more = f" and {_below_hundred(rest)}" if rest else ""
        return f"{_SMALL[hundreds]} hundred{more}"
    return _below_hundred(rest)


def _below_hundred(number: int) -> str:
    if number < 20:
        return _SMALL[number]
    tens, ones = divmod(number, 10)
    return f"{_TENS[tens]}-{_SMALL[ones]}" if ones else _TENS[tens]
