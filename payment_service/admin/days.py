"""Days as an operator writes them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def begin_of(text: str, zone: str, *, after: bool = False) -> datetime:
    """When that day begins in the zone, or the one `after` it. Raises ValueError in words."""
    try:
        day = date.fromisoformat(text)
        whole = day + timedelta(days=1) if after else day
    except (ValueError, OverflowError):
        raise ValueError("write the day as 2026-01-31") from None
    return datetime.combine(whole, time(), ZoneInfo(zone))
