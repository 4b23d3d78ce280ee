"""Times as an operator reads them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from markupsafe import Markup

from payment_service.domain.events import iso


def time_in(moment: datetime, zone: str, *, plain: bool = False) -> str:
    """`moment` to the minute in that time zone, as an element that says it in UTC, too."""
    shown = moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")
    if plain:
        return shown
    return Markup('<time datetime="{}">{}</time>').format(iso(moment), shown)
