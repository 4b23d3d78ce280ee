"""Members of a provider's answer that must be what they are."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

_LINK = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://[!-~]+\Z")
_SCRIPTS = ("javascript", "vbscript", "data", "blob", "file", "filesystem", "about")


def text(value: Any) -> str:
    """Raises ValueError for what is none, or is empty."""
    if isinstance(value, str) and value:
        return value
    raise ValueError("no text")


def text_or_none(value: Any) -> str | None:
    """None for what is no text, or is empty."""
    return value if isinstance(value, str) and value else None


def minor(value: Any) -> int | None:
    """An amount in minor units; None where there is none. Raises ValueError for anything else."""
    if value is None or type(value) is int:
        return value
    raise ValueError("no amount in minor units")


def picture(value: Any) -> str | None:
    """A picture as a data: URL; None for what is none."""
    return value if isinstance(value, str) and value.startswith("data:image/") else None


def link(value: Any) -> str:
    """The address of a page, or of an app. Raises ValueError for what is none, or is a script."""
    found = _LINK.match(text(value))
    if found is None or found[1].lower() in _SCRIPTS:
        raise ValueError("no link")
    return text(value)


def moment(value: Any) -> datetime | None:
    """A time in ISO 8601; None for what is none, or has no zone."""
    try:
        found = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo is not None else None


def written(value: Any) -> str | None:
    """A time as `moment` reads it, as we write it: UTC, with Z; None beyond the years 1 to 9999."""
    found = moment(value)
    if found is None:
        return None
    try:
        return found.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except OverflowError:
        return None
