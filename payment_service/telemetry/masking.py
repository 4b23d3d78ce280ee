"""What no log line may hold: the values of names that say a secret, and tokens, keys, passwords in
addresses, e-mail addresses and telephone numbers in any text."""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

MaskText = Callable[[str], str]
Event = MutableMapping[str, Any]

SECRET = "[secret]"
E_MAIL = "[e-mail]"
PHONE = "[telephone number]"
DECODED = 3
"""How often a text is decoded as an URL to see what it says, as domain/cards.py does."""
DEEPEST = 20
"""Containers within containers; what lies deeper is told as one text, so that none is endless."""

_SECRET_NAME = re.compile(
    r"authorization|cookie|token|secret|passw(?:or)?d|passphrase|private_?key|api_?key|\Acode\Z"
)
# Where such a name stands in a text, in front of its value: a header, a query, a dict's repr.
_NAMED = re.compile(
    r"""(?:authorization|token|secret|passw(?:or)?d|passphrase|(?:private|api)[_-]?key
        |(?<=["'])code(?=["']))["']?
        [ \t]*[=:][ \t]*
        (?:(?:basic|bearer)[ ]+)?
        (?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|["']?[^\s,;&"'\])}]++)""",
    re.IGNORECASE | re.VERBOSE,
)
_COOKIE = re.compile(r"""cookie["']?[ \t]*[=:][ \t]*["']?[^\n"']++""", re.IGNORECASE)
_BEARER = re.compile(r"(?<=bearer )[^\s,;\"']++", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(?<=://)[^\s/\"'@][^\s/\"']*@")
# In a repr a new line is a letter behind a backslash.
_BEGINS = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
# A JWT begins with {" in base64; with white space behind its first brace it begins otherwise.
_JWT = re.compile(
    r"(?<![\w-])(?=[\w-]*?eyJ|[nrt]?(?:eyA|ewo|ew0|ewk))[\w-]++\.[\w-]++(?:\.[\w-]*+)*+"
)
_KEY = re.compile(rf"whsec_[\w+/=-]++|{_BEGINS}[sr]k_[\w+/=-]{{6,}}+")
# From the first character that an address may begin with; what stands before it was looked at.
_E_MAIL = re.compile(
    r"(?<![\w.!#$%&'*+/=?^`{|}~-])[\w.!#$%&'*+/=?^`{|}~-]++@(?:[\w-]++(?:\.[\w-]++)++|\[[^\[\]\s]{1,64}+\])"
)
# A link by which an operator gets in, once.
_INVITE = re.compile(r"(?<=/invite/)[^\s/?\"']++")
# The link of a payer: whoever has it sees the payment, and is sent to the page where it is paid.
_PAY_LINK = re.compile(r"(?<=/pay/)([1-9][0-9]*/)[^\s/?\"']++")
_PHONE = re.compile(r"\+[1-9]\d{6,14}(?!\d)")

# Each with what a text that needs it holds, so that most texts are passed over.
_RULES: tuple[tuple[tuple[str, ...], re.Pattern[str], str | Callable[[Any], str]], ...] = (
    (("ey", "ew"), _JWT, SECRET),
    (("whsec_", "sk_", "rk_"), _KEY, SECRET),
    (("://",), _IN_ADDRESS, f"{SECRET}@"),
    (("=", ":"), _COOKIE, lambda found: _without_value(found.group())),
    (("=", ":"), _NAMED, lambda found: _without_value(found.group())),
    (("earer ", "EARER "), _BEARER, SECRET),
    (("@",), _E_MAIL, E_MAIL),
    (("+",), _PHONE, PHONE),
    (("/invite/",), _INVITE, SECRET),
    (("/pay/",), _PAY_LINK, lambda found: found[1] + SECRET),
)
# A text without any of these, in ASCII and without a card number, is as it may be. A loop in C: a
# search for all of them at once takes ten times as long.
_SIGNS = (
    *("=", ":", "@", "+", "%", "sk_", "rk_", "whsec_", "earer ", "EARER ", "/invite/", "/pay/"),
    *("eyJ", "eyA", "ewo", "ew0", "ewk"),
)
_BETWEEN = "\n\0\n"
"""Between texts that are looked at together; no rule reaches over it."""


def _without_value(named: str) -> str:
    return re.split("[=:]", named, maxsplit=1)[0] + f"={SECRET}"


@lru_cache(maxsize=4096)
def says_secret(name: str) -> bool:
    """Whether what goes by this name is a secret, however the name is written."""
    return _SECRET_NAME.search(name.lower().replace("-", "_").replace(" ", "_")) is not None


def event_mask(mask: MaskText) -> Callable[[Any, str, Event], Event]:
    """A processor of structlog: the event with everything masked. `mask` goes over each text, too.

    It is on the way of every charge, so an event of plain texts and numbers, which nearly all are,
    is looked at as one text and goes on as it is.
    """

    def masked(_: Any, __: str, event: Event) -> Event:
        texts = []
        for name, value in event.items():
            kind = type(value)
            if kind is str:
                texts.append(value)
            elif kind not in _NUMBERS:
                break
            if says_secret(name):
                break
        else:
            together = _BETWEEN.join(texts)
            suspect = not together.isascii() or any(map(together.__contains__, _SIGNS))
            if not suspect and mask(together) == together:
                return event
        return {name: _masked(name, value, mask) for name, value in event.items()}

    return masked


_NUMBERS = frozenset({int, float, bool, type(None)})


def _masked(name: str, value: Any, mask: MaskText) -> Any:
    if name.startswith("_"):
        return value  # logging's record, which structlog takes out again
    return SECRET if says_secret(name) else of_value(value, mask)


def of_value(value: Any, mask: MaskText, depth: int = 0) -> Any:
    """`value` with every text in it masked, and the values of names that say a secret. Numbers are
    ids and amounts, and stay. What is neither text, number, dict nor list is told as its repr."""
    if isinstance(value, str):
        return of_text(str(value), mask)
    if type(value) in _NUMBERS:
        return value
    if depth < DEEPEST:
        if isinstance(value, dict):
            return {
                of_text(str(name), mask): (
                    SECRET if says_secret(str(name)) else of_value(item, mask, depth + 1)
                )
                for name, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [of_value(item, mask, depth + 1) for item in value]
    return of_text(repr(value), mask)


def of_text(text: str, mask: MaskText, decoded: int = 0) -> str:
    """`text` masked; and if it hides more by percent-encoding, its plain form masked."""
    for signs, pattern, instead in _RULES:  # as it stands first: a password may hide a / or an @
        if any(sign in text for sign in signs):
            text = pattern.sub(instead, text)
    if "%" in text and decoded < DECODED:
        plain = unquote(text)
        if plain != text and (masked := of_text(plain, mask, decoded + 1)) != plain:
            return masked
    return mask(text)
