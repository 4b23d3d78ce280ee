"""The fields of this provider's requests."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from payment_service.sandbox.bodies import Field

# As large as PostgreSQL's bigint: a provider with more digits than its callers' books is no use.
LARGEST_AMOUNT = 2**63 - 1


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
    "return_url": Field("an address or null", lambda v: v is None or _text(2000)(v), None),
}
CAPTURE_FIELDS: Mapping[str, Field] = {"reference": REFERENCE, "amount_minor": AMOUNT}
VOID_FIELDS: Mapping[str, Field] = {"reference": REFERENCE}
REFUND_FIELDS: Mapping[str, Field] = {
    "reference": REFERENCE,
    "charge_reference": REFERENCE,
    "amount_minor": AMOUNT,
    "currency": _CURRENCY,
}
