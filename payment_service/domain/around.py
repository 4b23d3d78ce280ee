"""What is known around a payment when it is explained, and how times are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from payment_service.domain import money

_SOON = timedelta(minutes=10)
"""So near, seconds are told."""


@dataclass(frozen=True)
class Written:
    """How somebody reads: the zone of times, and an amount of minor units with its currency."""

    zone: tzinfo = UTC
    amount: Callable[[int, str], str] = money.with_code


AS_THE_API = Written()


@dataclass(frozen=True)
class Around:
    """What else is known: when `now` is, and how times and amounts are `written`; after how long
    without an outcome somebody should be alarmed; until when new requests to a provider are held
    back; when callers were told the opposite of what stands; webhooks that did not fit, or that
    could not be taken in."""

    now: datetime
    written: Written = AS_THE_API
    alarm_after: timedelta = timedelta(minutes=15)
    held_back: Mapping[str, datetime] = field(default_factory=dict)
    contradicted_at: datetime | None = None
    mismatches: Sequence[tuple[str, str]] = ()
    parked_webhooks: int = 0

    def clock(self, moment: datetime) -> str:
        """The moment as people say it, with the day if it is another one than today."""
        zone = self.written.zone
        local, today = moment.astimezone(zone), self.now.astimezone(zone).date()
        text = local.strftime("%H:%M:%S" if abs(moment - self.now) < _SOON else "%H:%M")
        if local.date() != today:
            text = f"{text} on {local.day} {local.strftime('%b %Y')}"
        return f"{text} UTC" if zone is UTC else text

    def when(self, moment: datetime) -> str:
        """When something that is still to come will be done."""
        return f"at {self.clock(moment)}" if moment > self.now else "now"
