"""Finds card numbers in free text, so that they can be refused before anything keeps them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

SHORTEST, LONGEST = 13, 19
MASK = "[card number]"

# Digits that stand together or are parted by what people put between the groups of a card number.
# Possessive: digits and marks exclude each other, so no text makes it look at a character more
# often than SHORTEST times.
_MARKS = r"[\s.\-/_,()]"
_CHAIN = re.compile(rf"[0-9](?:{_MARKS}*+[0-9]){{{SHORTEST - 1},}}+")
_GROUP = re.compile(r"[0-9]+")
# The marks that part groups of any size, and may change within one number ("41 11 - 11").
_PLAIN_MARK = re.compile(r"[\s.\-]{1,3}\Z")
# Random hexadecimal digits look like a card number more often than one would like.
_UUID = re.compile(
    r"(?<![0-9A-Za-z])[0-9a-f]{8}(-?)[0-9a-f]{4}\1[1-8][0-9a-f]{3}\1[89ab][0-9a-f]{3}\1[0-9a-f]{12}"
    r"(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
DECODED = 3
"""How often an URL is decoded to see what it says; who encodes more often than that hides it."""

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
    return next(_places(_in_ascii(text)), None) is not None


def in_url(text: str) -> bool:
    """Whether a part of an URL holds such a number, percent-encoded or not."""
    return any(map(contains_card_number, _decoded(text)))


def masked(text: str) -> str:
    """`text`, or if it holds card numbers, percent-encoded or not, its plain form without them."""
    if len(text) < SHORTEST:
        return text  # as most of what is logged
    for form in _decoded(text):
        plain = _in_ascii(form)
        if places := list(_places(plain)):
            kept, end = [], 0
            for start, stop in places:
                kept.append(plain[end:start])
                end = stop
            return masked(MASK.join([*kept, plain[end:]]))  # another may be encoded more often
    return text


def luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1, annex B."""
    total = sum(map(int, digits[-1::-2])) + sum(map(_DOUBLED.__getitem__, digits[-2::-2]))
    return total % 10 == 0


_DOUBLED = {str(digit): sum(map(int, str(2 * digit))) for digit in range(10)}


def _lengths(digits: str) -> frozenset[int]:
    """The lengths of card numbers that begin like `digits`."""
    return frozenset().union(*(lengths for issuer, lengths in _ISSUERS if issuer.match(digits)))


def _places(text: str) -> Iterator[tuple[int, int]]:
    """Where card numbers stand in an ASCII text: start and end of each, one after the other."""
    if not _CHAIN.search(text):
        return
    for chain in _CHAIN.finditer(_UUID.sub(lambda uuid: "x" * len(uuid.group()), text)):
        groups = list(_GROUP.finditer(chain.group()))
        first = 0
        while first < len(groups):
            last = _last_of_card(groups, first)
            if last is not None:
                yield chain.start() + groups[first].start(), chain.start() + groups[last].end()
                first = last
            first += 1


def _last_of_card(groups: list[re.Match[str]], first: int) -> int | None:
    """The last group of the longest card number that begins with the group `first`."""
    digits, found = "", None
    lengths: frozenset[int] | None = None
    for last in range(first, len(groups)):
        digits += groups[last].group()
        if len(digits) > LONGEST:
            break
        if len(digits) < SHORTEST:
            continue
        lengths = _lengths(digits) if lengths is None else lengths
        possible = len(digits) in lengths and luhn(digits)
        if possible and _as_on_a_card(groups[first : last + 1]):
            found = last
    return found


def _as_on_a_card(groups: list[re.Match[str]]) -> bool:
    """One group; or groups of one size but for a shorter last (4-4-4-4, 1-1-1...); or none but the
    last shorter than 3 (4-6-5). A date with a time (4-2-2-6) is not parted like this.

    Groups as they are printed on cards may be parted by any marks, others by one mark throughout:
    two telephone numbers are no card number.
    """
    *sizes, last = (len(group.group()) for group in groups)
    if not sizes or set(sizes) == {4} or sizes in ([4, 6], [4, 3, 3]):
        return True
    even = len(set(sizes)) == 1 and last <= sizes[0]
    if not even and min(sizes) < 3:
        return False
    marks = _GROUP.split(groups[0].string[groups[0].start() : groups[-1].end()])[1:-1]
    alike = len({"".join(mark.split()) for mark in marks}) == 1
    return alike or (even and all(map(_PLAIN_MARK.match, marks)))


def _decoded(text: str) -> Iterator[str]:
    """`text`, and what it says when it is decoded as an URL, once or more often."""
    yield text
    if "%" not in text:
        return
    for _ in range(DECODED):
        text, before = _ENCODED.sub(_bytes_meant, text), text
        if text == before:
            return
        yield text


def _bytes_meant(encoded: re.Match[str]) -> str:
    return bytes.fromhex(encoded.group().replace("%", "")).decode(errors="replace")


def _in_ascii(text: str) -> str:
    """Digits, blanks and marks of all scripts as ASCII has them; invisible ones left out."""
    return text if text.isascii() else "".join(map(_plain, text))


# By Unicode's category: what parts groups, in which script and width ever.
_BY_CATEGORY = {
    "Zs": " ", "Zl": " ", "Zp": " ", "Pd": "-", "Pc": "_", "Po": ",", "Ps": "(", "Pe": ")",
    "Cf": "", "Mn": "", "Me": "",
}  # fmt: skip
_BY_NAME = {"\N{MINUS SIGN}": "-", "\N{FRACTION SLASH}": "/", "\N{DIVISION SLASH}": "/"}


def _plain(char: str) -> str:
    if char.isascii():
        return char
    if char.isdigit():
        return str(unicodedata.digit(char))
    return _BY_NAME.get(char) or _BY_CATEGORY.get(unicodedata.category(char), char)
