"""What a text that a person pasted may be: a payment's number, a trip's, a reference, an amount ...

Whatever comes in is read, and nothing raises: odd digits, invisible marks, quotes and a whole
address are forgiven, and what can be nothing of ours has no readings and a sentence that says why.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from payment_service.domain import pasted_text
from payment_service.domain.money import EXPONENTS, BadAmount, parse_amount

LONGEST_INPUT = 2000
"""Characters that are looked at: an address with all that hangs on it."""
LONGEST = 255
"""Characters of the longest text by which something is kept: an idempotency key."""
_BIGGEST = 2**63 - 1


class Kind(StrEnum):
    """What something may be found by, in the order in which finds are shown."""

    PAYMENT = "payment"
    REFERENCE = "reference"
    TRIP = "trip"
    ORDER = "order"
    REFUND = "refund"
    CALLER_REFERENCE = "caller's reference"
    PROVIDER_REFERENCE = "provider's reference"
    KEY = "idempotency key"
    RIDER = "rider"
    DRIVER = "driver"
    USER = "user"
    AMOUNT = "amount"
    REQUEST = "request id"


@dataclass(frozen=True)
class Reading:
    """One thing that the text may be. An amount is in minor units of its `currency`s, as pairs."""

    kind: Kind
    value: int | str | tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Sought:
    """A text as it was understood. Without readings `why_none` says why there is nothing such."""

    text: str
    readings: tuple[Reading, ...]
    why_none: str | None = None

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What it is tried as."""
        found = {reading.kind for reading in self.readings}
        return tuple(kind for kind in Kind if kind in found)


NUMBERS = (Kind.PAYMENT, Kind.TRIP, Kind.ORDER, Kind.REFUND, Kind.RIDER, Kind.DRIVER, Kind.USER)
_TEXTS = (Kind.CALLER_REFERENCE, Kind.PROVIDER_REFERENCE, Kind.KEY)

_PREFIXES: dict[str, Kind] = {
    **{str(kind): kind for kind in NUMBERS},
    **{f"{kind}_id": kind for kind in NUMBERS},
    **dict.fromkeys(("reference", "ref", "receipt"), Kind.REFERENCE),
    **dict.fromkeys(("caller", "caller_reference"), Kind.CALLER_REFERENCE),
    **dict.fromkeys(
        ("provider", "provider_reference", "transaction", "transaction_id"),
        Kind.PROVIDER_REFERENCE,
    ),
    **dict.fromkeys(("key", "idempotency_key"), Kind.KEY),
    **dict.fromkeys(("request", "request_id", "x_request_id", "correlation_id"), Kind.REQUEST),
    "amount": Kind.AMOUNT,
}
_PREFIXED = re.compile(r"([a-z][a-z_ -]{1,30}?)\s*[:=]\s*(.+)\Z", re.IGNORECASE | re.DOTALL)
_WORD_AND_NUMBER = re.compile(r"([a-z]{3,8})[\s_-]*#?\s*([0-9]{1,19})\Z", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+\Z", re.ASCII)

# Ours, as people write it down: in any case, with blanks for dashes or with none.
_DASH = r"[\s_-]*"
_OURS = re.compile(
    rf"(?<![0-9A-Z])PAY{_DASH}([0-9]{{8}}){_DASH}([0-9A-Z](?:{_DASH}[0-9A-Z]){{11}})(?![0-9A-Z])",
    re.IGNORECASE | re.ASCII,
)
_MISREAD = str.maketrans("OIL", "011")
"""Letters that our references have not, and the digits that they were."""
_HALVES = re.compile("[\ud800-\udfff]")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:\-]{8,128}\Z", re.ASCII)

_ADDRESS = re.compile(
    r"(?:https?://[^/\s]*)?(/[^\s?#]*)?(?:\?([^\s#]*))?(?:#\S*)?\Z", re.IGNORECASE
)
_IN_PATH = re.compile(
    r"/(payments|refunds|pay|trip|order|transaction|keys)(?=/([^/]+))", re.IGNORECASE
)
_OF_PATH = {
    "payments": Kind.PAYMENT,
    "pay": Kind.PAYMENT,
    "refunds": Kind.REFUND,
    "trip": Kind.TRIP,
    "order": Kind.ORDER,
    "transaction": Kind.PROVIDER_REFERENCE,
    "keys": Kind.KEY,
}
_BOX = ("q", "find", "text")
"""What the box itself may be called in an address of ours."""

_AMOUNT = re.compile(
    r"(?:([A-Z]{3})\s*)?([0-9]{1,3}(?:,[0-9]{2,3})+|[0-9]{1,15})(\.[0-9]{1,4})?(?:\s*([A-Z]{3}))?\Z",
    re.IGNORECASE | re.ASCII,
)


def read(pasted: str) -> Sought:
    """All that the text may be, most likely first. Never raises."""
    if len(pasted) > LONGEST_INPUT:
        return _nothing(
            pasted, f"This is longer than anything that we keep ({LONGEST} characters)."
        )
    text = pasted_text.plain(pasted)
    if not text:
        return _nothing("", "Nothing was given to look for.")
    readings = list(dict.fromkeys(_readings(text)))
    if _prefixed(text) is None:
        readings += [one for one in _as_it_is(pasted.strip()) if one not in readings]
    if readings:
        return Sought(_short(text), tuple(readings))
    if len(text) > LONGEST:
        return _nothing(text, f"This is longer than anything that we keep ({LONGEST} characters).")
    return _nothing(text, _why_none(text))


def _nothing(text: str, why: str) -> Sought:
    return Sought(_short(pasted_text.plain(text[:LONGEST_INPUT])), (), why)


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"


def _why_none(text: str) -> str:
    prefixed = _prefixed(text)
    if prefixed is None:
        return "Nothing of ours looks like this."
    kind, value = prefixed
    if kind in NUMBERS:
        told = "so large a number" if _NUMBER.match(value) else "what is no number"
        return f"No {kind} has {told}: they go from 1 to {_BIGGEST}."
    return f"No {kind} looks like this."


def _readings(text: str) -> Iterator[Reading]:
    prefixed = _prefixed(text)
    if prefixed is not None:
        yield from _as(*prefixed)
        return
    if text.startswith("/") or text.lower().startswith(("http://", "https://")):
        yield from _of_address(text)
        yield from _as_it_is(text)  # some callers' references are addresses
        return
    worded = _WORD_AND_NUMBER.match(text)
    if worded and worded[1].lower() in _PREFIXES:
        yield from _as(_PREFIXES[worded[1].lower()], worded[2])
    yield from _unsaid(text)


def _as_it_is(text: str) -> Iterator[Reading]:
    """What callers and providers named, letter by letter."""
    if 0 < len(text) <= LONGEST and "\0" not in text and not _HALVES.search(text):
        yield Reading(Kind.CALLER_REFERENCE, text)
        yield Reading(Kind.PROVIDER_REFERENCE, text)


def _prefixed(text: str) -> tuple[Kind, str] | None:
    """`trip:4711`: the kind, and what is behind it."""
    match = _PREFIXED.match(text)
    if match is None:
        return None
    word = match[1].lower().replace(" ", "_").replace("-", "_")
    return (_PREFIXES[word], match[2].strip(" \"'#")) if word in _PREFIXES else None


def _unsaid(text: str) -> Iterator[Reading]:
    """The readings of a text of which nothing says what it is."""
    number = text.replace(" ", "").replace("#", "")
    if _NUMBER.match(number):
        for kind in NUMBERS:
            yield from _as(kind, number)
    yield from _as(Kind.REFERENCE, text)
    if "." in text or not _NUMBER.match(number):
        yield from _as(Kind.AMOUNT, text)
    for kind in _TEXTS:
        yield from _as(kind, text)
    if not _NUMBER.match(number):
        yield from _as(Kind.REQUEST, text)


def _as(kind: Kind, value: str) -> Iterator[Reading]:
    """The readings of a value whose kind is said."""
    if kind in NUMBERS:
        yield from _as_number(kind, value)
    elif kind == Kind.REFERENCE:
        yield from _as_reference(value)
    elif kind == Kind.AMOUNT:
        yield from _as_amount(value)
    elif kind == Kind.REQUEST:
        if _REQUEST_ID.match(value):
            yield Reading(kind, value)
    else:
        for spelling in _spellings(value):
            yield Reading(kind, spelling)


def _as_number(kind: Kind, value: str) -> Iterator[Reading]:
    digits = value.replace(" ", "").replace("#", "")
    if _NUMBER.match(digits) and len(digits) <= 30 and 0 < int(digits) <= _BIGGEST:
        yield Reading(kind, int(digits))
    elif kind == Kind.PAYMENT:
        yield from _as_reference(value, ours_only=True)


def _as_reference(value: str, *, ours_only: bool = False) -> Iterator[Reading]:
    ours = _OURS.search(value)
    if ours:
        random = re.sub(_DASH, "", ours[2]).upper().translate(_MISREAD)
        yield Reading(Kind.REFERENCE, f"PAY-{ours[1]}-{random}")
    elif not ours_only:  # imported ones look as they like
        receipt = re.sub(r"\ARCP[\s_-]*", "", value, flags=re.IGNORECASE)
        for spelling in _spellings(receipt):
            yield Reading(Kind.REFERENCE, spelling)


def _spellings(value: str) -> Iterator[str]:
    """The text as it is, and in the cases in which it may be kept."""
    if 0 < len(value) <= LONGEST:
        yield from dict.fromkeys((value, value.upper()[:LONGEST], value.lower()[:LONGEST]))


def _as_amount(value: str) -> Iterator[Reading]:
    """In each currency that has so many decimals, or in the one that is said."""
    bare = "".join(char for char in value if unicodedata.category(char) != "Sc").strip()
    match = _AMOUNT.match(bare)
    if match is None:
        return
    said = (match[1] or match[4] or "").upper()
    digits = match[2].replace(",", "") + (match[3] or "")
    if said and said not in EXPONENTS:
        return
    found = []
    for currency in (said,) if said else EXPONENTS:
        try:
            minor = parse_amount(digits, currency)
        except BadAmount:
            continue
        if 0 < minor <= _BIGGEST:
            found.append((currency, minor))
    if found:
        yield Reading(Kind.AMOUNT, tuple(found))


def _of_address(text: str) -> Iterator[Reading]:
    """Of an address: what its query names, what its path names, and its last part."""
    match = _ADDRESS.match(text)
    if match is None:
        return
    path, query = match[1] or "", match[2] or ""
    named: list[Reading] = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        value = pasted_text.decoded(value)
        if name.lower() in _PREFIXES:
            named += _as(_PREFIXES[name.lower()], value)
        elif name.lower() in _BOX and value:
            prefixed = _prefixed(value)
            named += _as(*prefixed) if prefixed else _unsaid(value)
    for noun, value in _IN_PATH.findall(path):
        named += _as(_OF_PATH[noun.lower()], pasted_text.decoded(value))
    last = pasted_text.decoded(path.rstrip("/").rpartition("/")[2])
    yield from named or (_unsaid(last) if last else ())
