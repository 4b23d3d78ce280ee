"""The desk's figures as charts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from payment_service.domain.vocabulary import PaymentStatus
from payment_service.services.figures import WENT_WELL, WENT_WRONG, Figures, Sums

Point = dict[str, Any]


def charts(figures: Figures, zone: str) -> list[tuple[str, list[Point]]]:
    """Titles and points, as bars() of _parts.html takes them. Hours are told on the operator's
    clocks, days are those of the service."""
    return [
        (
            "Payments by hour, today",
            [_bar(_hour(at, zone), s) for at, s in figures.by_hour.items()],
        ),
        ("Payments by day, 30 days", [_bar(str(day), s) for day, s in figures.by_day.items()]),
        ("Payments by status, today", _by_status(figures.by_status)),
        ("Payments by method, today", [_bar(_word(m), s) for m, s in figures.by_method.items()]),
    ]


def _hour(moment: datetime, zone: str) -> str:
    return moment.astimezone(ZoneInfo(zone)).strftime("%H:%M")


def _word(word: str) -> str:
    return word if word == "UPI" else word.replace("_", " ").capitalize()


def _bar(label: str, sums: Sums, **more: Any) -> Point:
    return {"label": label, "value": sums.payments, "shown": f"{sums.payments:,}", **more}


def _by_status(by_status: Mapping[str, Sums]) -> list[Point]:
    return [_bar(_word(word), sums, tone=_tone(word)) for word, sums in by_status.items()]


def _tone(word: str) -> str:
    if word in WENT_WELL:
        return "ok"
    if word in WENT_WRONG:
        return "bad"
    return "off" if word == PaymentStatus.CANCELLED else "wait"
