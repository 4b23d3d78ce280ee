"""Finds card numbers in free text, so that they can be refused before anything keeps them."""

from __future__ import annotations

import re

# 13 to 19 digits, together or in groups parted by one space, dash or dot, as cards print them.
_CANDIDATE = re.compile(r"(?<![0-9])[0-9](?:[ .\-]?[0-9]){12,18}(?![0-9])")

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


def contains_card_number(text: str) -> bool:
    """True if `text` holds a number that a card could bear: known prefix, length and Luhn."""
    if sum(char.isdigit() for char in text) < 13:
        return False
    for match in _CANDIDATE.finditer(text):
        if _is_card(re.sub(r"[^0-9]", "", match.group())):
            return True
    return False
