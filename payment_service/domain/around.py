"""What is known around a payment when it is explained, and how times are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

_SOON = timedelta(minutes=10)
"""So near, seconds are told."""


@dataclass(frozen=True)
class Around:
    """What else is known: when `now` is, and in which `zone` times are told; after how long without
    an outcome somebody should be alarmed; until when new requests to a provider are held back; when
    callers were told the opposite of what stands; webhooks that did not fit, or that could not be
    taken in."""

    now: datetime
    zone: tzinfo = UTC
    alarm_after: timedelta = timedelta(minutes=15)
    held_back: Mapping[str, datetime] = field(default_factory=dict)
    contradicted_at: datetime | None = None
    mismatches: Sequence[tuple[str, str]] = ()
    parked_webhooks: int = 0

    def clock(self, moment: datetime) -> str:
        """The moment as people say it, with the day if it is another one than today."""
        local, today = moment.astimezone(self.zone), self.now.astimezone(self.zone).date()
        text = local.strftime("%H:%M:%S" if abs(moment - self.now) < _SOON else "%H:%M")
        if local.date() != today:
            text = f"{text} on {local.day} {local.strftime('%b %Y')}"
        return f"{text} UTC" if self.zone is UTC else text

    def when(self, moment: datetime) -> str:
        """When something that is still to come will be done."""
        return f"at {self.clock(moment)}" if moment > self.now else "now"
