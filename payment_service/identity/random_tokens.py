"""Random texts that open something: what cookies and links hold, and what is kept of them."""

from __future__ import annotations

import hashlib
import secrets


def new_token() -> str:
    """256 random bits in letters, digits, - and _ (no hexadecimal: thirteen digits in a row could
    be a card number)."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """What is kept: of 256 random bits nobody finds the text by it. Takes any text."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
