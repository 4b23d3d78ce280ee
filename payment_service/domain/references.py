"""References that we give out: unguessable enough not to collide, readable enough to dictate."""

from __future__ import annotations

import secrets
from datetime import datetime

# Crockford's base32: no I, L, O, U, so that a reference survives being read over the phone.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def payment_reference(now: datetime) -> str:
    """`PAY-YYYYMMDD-` and 12 base32 characters (60 random bits), dated in UTC."""
    bits = secrets.randbits(60)
    random = "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(0, 60, 5))
    return f"PAY-{now:%Y%m%d}-{random}"


def transaction_reference(payment_reference: str, number: int) -> str:
    """The provider's idempotency key for the payment's request `number`, counted from 1."""
    return f"{payment_reference}-{number}"


def receipt_id(payment_reference: str) -> str:
    """The receipt's number: the same for ever."""
    return f"RCP-{payment_reference}"
