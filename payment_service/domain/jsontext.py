"""JSON text as it is stored, hashed and sent: compact, as it is in UTF-8.

orjson, because a charge writes a dozen texts and the standard library builds an encoder for each.
Reading stays with the standard library, which alone can read amounts exactly.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

# A moment is written by domain.events.iso only; one that gets here is a mistake, and raises.
_STRICT = orjson.OPT_PASSTHROUGH_DATETIME


def dumps(value: Any) -> str:
    """The text of dicts, lists, strings, integers of 64 bits, floats, booleans and None.

    Raises TypeError for anything else.
    """
    return orjson.dumps(value, option=_STRICT).decode()


def canonical(value: Any) -> bytes:
    """UTF-8 text for hashing: members in order of their names, a Decimal as its digits."""
    return orjson.dumps(value, default=str, option=_STRICT | orjson.OPT_SORT_KEYS)


def ascii_line(value: Any) -> bytes:
    """As Flask writes JSON: ASCII, with a new line at its end. Takes also an integer of more than
    64 bits."""
    try:
        text = orjson.dumps(value, option=_STRICT | orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return _escaped(value)
    return text if text.isascii() and _DELETE not in text else _escaped(value)


_DELETE = b"\x7f"


def _escaped(value: Any) -> bytes:
    return (json.dumps(value, separators=(",", ":")) + "\n").encode()
