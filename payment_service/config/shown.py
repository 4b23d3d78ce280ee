"""Settings as a page may show them."""

from __future__ import annotations

import dataclasses
from typing import Any


def not_secret(settings: Any) -> dict[str, str | None]:
    """By the name of its variable: the value as text; None of a secret that is set. Whether
    it may hold one, its line in the table says; "" is what is not set."""
    return {
        field.name.upper(): _told(getattr(settings, field.name), is_secret=not field.repr)
        for field in sorted(dataclasses.fields(settings), key=lambda field: field.name)
    }


def _told(value: Any, *, is_secret: bool) -> str | None:
    if value is None:
        return ""
    return None if is_secret else str(value)
