"""Times as an operator reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from markupsafe import Markup

from payment_service.domain.events import iso


def time_in(moment: datetime, zone: str, *, plain: bool = False, seconds: bool = False) -> str:
    """`moment` to the minute, or to the second, in that time zone, as an element that says it in
    UTC, too."""
    form = "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
    shown = moment.astimezone(ZoneInfo(zone)).strftime(form)
    if plain:
        return shown
    return Markup('<time datetime="{}">{}</time>').format(iso(moment.astimezone(UTC)), shown)
