"""Finds card numbers in free text, so that they can be refused before anything keeps them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

SHORTEST, LONGEST = 13, 19

# Groups of digits that stand by themselves or are parted by spaces, dashes or dots ("4111 1111",
# "4111 - 1111").
_CHAIN = re.compile(r"[0-9]+(?:[\s.\-]{1,3}[0-9]+)*")
_GROUP = re.compile(r"[0-9]+")

# Issuer prefixes with the lengths that they are issued in (ISO/IEC 7812 ranges as published by
# the networks). An id that merely passes Luhn does not begin like this.
_ISSUERS: tuple[tuple[re.Pattern[str], frozenset[int]], ...] = (
    (re.compile(r"4"), frozenset({13, 16, 19})),  # Visa
    (
        re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"),
        frozenset({16}),
    ),  # Mastercard
    (re.compile(r"3[47]"), frozenset({15})),  # American Express
    (re.compile(r"30[0-5]|36|38|39"), frozenset({14, 16, 19})),  # Diners
    (re.compile(r"6011|64[4-9]|65"), frozenset({16, 19})),  # Discover
    (re.compile(r"35(2[89]|[3-8])"), frozenset({16, 17, 18, 19})),  # JCB
    (re.compile(r"62|81"), frozenset({16, 17, 18, 19})),  # UnionPay
    (re.compile(r"60|81|82|508"), frozenset({16})),  # RuPay
    (re.compile(r"50|5[6-9]|6"), frozenset(range(13, 20))),  # Maestro
    (re.compile(r"220[0-4]"), frozenset({16, 17, 18, 19})),  # Mir
)


def contains_card_number(text: str) -> bool:
    """True if `text` holds a number that a card could bear: known prefix, length and Luhn.

    The number stands together or in groups as on a card. What else stands beside it, such as an
    expiry or a count, does not hide it; digits of other scripts are digits.
    """
    if sum(char.isdigit() for char in text) < SHORTEST:
        return False
    return any(_is_card(number) for number in _candidates(_in_ascii(text)))


def luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1, annex B."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_card(digits: str) -> bool:
    return any(
        pattern.match(digits) and len(digits) in lengths for pattern, lengths in _ISSUERS
    ) and luhn(digits)


def _candidates(text: str) -> Iterator[str]:
    """Every run of neighbouring groups of 13 to 19 digits that is parted as cards are."""
    for chain in _CHAIN.finditer(text):
        groups: list[str] = _GROUP.findall(chain.group())
        for first in range(len(groups)):
            digits = ""
            for last in range(first, len(groups)):
                digits += groups[last]
                if len(digits) > LONGEST:
                    break
                if len(digits) >= SHORTEST and _as_on_a_card(groups[first : last + 1]):
                    yield digits


def _as_on_a_card(groups: list[str]) -> bool:
    """One group; or groups of one size but for the last (4-4-4-4, 1-1-1...); or none but the last
    shorter than 3 (4-6-5). A date with a time (4-2-2-6) is not parted like this."""
    sizes = [len(group) for group in groups[:-1]]
    return len(set(sizes)) <= 1 or min(sizes) >= 3


def _in_ascii(text: str) -> str:
    """Digits, spaces and dashes of all scripts as ASCII has them; invisible marks left out."""
    return text if text.isascii() else "".join(map(_plain, text))


def _plain(char: str) -> str:
    if char.isascii():
        return char
    if char.isdigit():
        return str(unicodedata.digit(char))
    return {"Zs": " ", "Pd": "-", "Cf": ""}.get(unicodedata.category(char), char)
