"""Notes of operators: what may be one."""

from __future__ import annotations

from payment_service.domain.cards import contains_card_number
from payment_service.domain.operators import Refused

LONGEST = 2000
"""Characters."""


class BadNote(Refused):
    """What was written can't be kept as a note."""


def checked(text: str) -> str:
    """The note without blanks around it, its lines ended as ours are. Raises BadNote."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not plain:
        raise BadNote("The note is empty.")
    if len(plain) > LONGEST:
        raise BadNote(f"A note has at most {LONGEST} characters; this one has {len(plain)}.")
    if any(ord(char) < 32 and char not in "\n\t" for char in plain):
        raise BadNote("The note holds characters that can't be shown.")
    if any("\ud800" <= char <= "\udfff" for char in plain):
        raise BadNote("The note holds halves of characters.")
    if contains_card_number(plain):
        raise BadNote("The note holds a card number; name the last four digits only.")
    return plain
