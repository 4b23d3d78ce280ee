"""Reading what the provider was asked: fields, types, and when two requests are the same."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

# As large as PostgreSQL's bigint: a provider with more digits than its callers' books is no use.
LARGEST_AMOUNT = 2**63 - 1


class Invalid(ValueError):
    """The body can't be understood; the text names the field."""


class Field(NamedTuple):
    """One field of a body: what it must be, in words and as a check; a default if it may lack."""

    wanted: str
    accepts: Callable[[Any], bool]
    default: Any = ...


def _text(longest: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and 0 < len(value) <= longest


def _is_amount(value: Any) -> bool:
    return type(value) is int and 0 < value <= LARGEST_AMOUNT


# It stands in paths, so nothing that means something there.
_REFERENCE = re.compile(r"[A-Za-z0-9._:~-]{1,100}")

REFERENCE = Field(
    "1 to 100 of letters, digits and . _ : ~ -",
    lambda value: isinstance(value, str) and _REFERENCE.fullmatch(value) is not None,
)
AMOUNT = Field("a positive integer in minor units", _is_amount)
_CURRENCY = Field("an ISO 4217 code", lambda value: isinstance(value, str) and len(value) == 3)

CHARGE_FIELDS: Mapping[str, Field] = {
    "reference": REFERENCE,
    "amount_minor": AMOUNT,
    "currency": _CURRENCY,
    "method": Field("a string of 1 to 40 characters", _text(40)),
    "payment_token": Field("a string or null", lambda v: v is None or _text(255)(v), None),
    "capture": Field("true or false", lambda value: isinstance(value, bool), True),
    "description": Field("a string or null", lambda v: v is None or isinstance(v, str), None),
}
REFUND_FIELDS: Mapping[str, Field] = {
    "reference": REFERENCE,
    "charge_reference": REFERENCE,
    "amount_minor": AMOUNT,
    "currency": _CURRENCY,
}


def checked(body: Any, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The known fields of a body, defaults filled in; others are ignored. Raises Invalid."""
    if not isinstance(body, dict):
        raise Invalid("the body must be a JSON object")
    values = {}
    for name, field in fields.items():
        value = body.get(name, field.default)
        if value is ... or not field.accepts(value):
            raise Invalid(f"{name}: {field.wanted}")
        values[name] = value
    return values


def fingerprint(kind: str, target: str | None, body: Any) -> str:
    """Equal for requests that ask the same; member order and white space make no difference."""
    canonical = json.dumps([kind, target, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def now() -> str:
    """The time, UTC, ISO 8601 with milliseconds and Z."""
    return stamp(time.time())


def stamp(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601, UTC."""
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
