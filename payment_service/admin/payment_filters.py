"""What the address of the payments' list asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from payment_service.config import settings
from payment_service.domain import money
from payment_service.domain.payment_filters import FILTERS, IDS, LABELS
from payment_service.domain.vocabulary import PaymentStatus
from payment_service.services import totals
from payment_service.services.browsing_filters import CONTRADICTED_FOR

DAYS = (7, 30, 90)
"""How far back is looked where no index serves: the first, unless another one is asked for."""
_WITHOUT_INDEX = ("method", "provider", "currency", "amount_from", "amount_to", "reason")
LONGEST = 100
"""Characters that are shown of a filter that is not understood."""


@dataclass(frozen=True)
class Asked:
    """`chosen` is what stands in the address, `filters` what the list takes, `wrong` what is not
    understood, in words. `days` is how far back is looked because no index serves it, else None;
    `amounts_in` the currency of amounts that come without one."""

    chosen: Mapping[str, str]
    filters: Mapping[str, Any]
    wrong: list[str]
    days: int | None = None
    amounts_in: str | None = None


def asked(args: Mapping[str, str], zone: str, now: datetime | None = None) -> Asked:
    """Reads an address. Days are those of the operator's `zone`."""
    chosen: dict[str, str] = {}
    wrong = []
    for name, read in FILTERS.items():
        if text := args.get(name, "").strip():
            try:
                chosen[name] = read(text)
            except ValueError as error:
                chosen[name] = text[:LONGEST]
                wrong.append(f"{LABELS[name]} {error}")
    if wrong:
        return Asked(chosen, {}, wrong)
    try:
        return _understood(chosen, zone, now or datetime.now(UTC))
    except ValueError as error:
        return Asked(chosen, {}, [str(error)])


def _understood(chosen: Mapping[str, str], zone: str, now: datetime) -> Asked:
    """Raises ValueError with what is wrong."""
    filters: dict[str, Any] = {
        name: int(text) if name in IDS else text
        for name, text in chosen.items()
        if name in ("status", "method", "provider", "currency", *IDS)
    }
    if "reason" in chosen:
        filters["failure_code"] = chosen["reason"]
    amounts = _amounts(chosen)
    if "stuck" in chosen:
        filters["stuck"] = now - timedelta(seconds=settings().resolution_alarm_seconds)
    if "contradicted" in chosen:
        filters["contradicted"] = now - CONTRADICTED_FOR
    begins, ends = _times(chosen, zone, now)
    days = _days(chosen, begins) if _lacks_index(chosen) else None
    if days and begins is None:
        begins = _back(days, ends, now)
    defaulted = amounts["currency"] if amounts and "currency" not in chosen else None
    return Asked(
        chosen, {**filters, **amounts, **_between(chosen, begins, ends)}, [], days, defaulted
    )


def _lacks_index(chosen: Mapping[str, str]) -> bool:
    """Whether rows that don't fit may have to be walked through, or refunds of years."""
    if any(name in chosen for name in (*IDS, "stuck", "contradicted")):
        return False
    if "refunded" in chosen:
        return True
    rare = chosen.get("status") not in (None, PaymentStatus.SUCCESS)
    return not rare and any(name in chosen for name in _WITHOUT_INDEX)


def _days(chosen: Mapping[str, str], begins: datetime | None) -> int | None:
    """The days that are looked at where it is not said since when, or said in days."""
    if begins is None:
        return DAYS[0]
    within = chosen.get("within", "")
    return int(within[:-1]) if within.endswith("d") and "created_from" not in chosen else None


def _between(
    chosen: Mapping[str, str], begins: datetime | None, ends: datetime | None
) -> dict[str, Any]:
    """Times of payments; or of their refunds, if those are wanted."""
    of = "created"
    if "refunded" in chosen:
        if begins is None:
            return {"refunded": True} | ({"created_to": ends} if ends else {})
        of = "refunded"
    return {name: moment for name, moment in ((f"{of}_from", begins), (f"{of}_to", ends)) if moment}


def _times(
    chosen: Mapping[str, str], zone: str, now: datetime
) -> tuple[datetime | None, datetime | None]:
    ends = _moment(chosen["created_to"], zone, days=1) if "created_to" in chosen else None
    begins = [_moment(chosen["created_from"], zone)] if "created_from" in chosen else []
    within = chosen.get("within", "")
    if within.endswith("d"):
        begins.append(_back(int(within[:-1]), ends, now))
    elif within:
        here = ZoneInfo(totals.zone())
        today = now.astimezone(here).date()
        first = today - timedelta(days=today.weekday()) if within == "week" else today
        begins.append(datetime.combine(first, time(), here))
    return max(begins, default=None), ends


def _back(days: int, ends: datetime | None, now: datetime) -> datetime:
    """So many days before the end, or before now if that is earlier. Raises ValueError."""
    try:
        return min(now, ends or now) - timedelta(days=days)
    except OverflowError:
        raise ValueError(f"{LABELS['created_to']} is too early") from None


def _moment(text: str, zone: str, days: int = 0) -> datetime:
    """A time, or a day's beginning: that of `days` later, so that a last day is within. Raises
    ValueError."""
    try:
        if len(text) <= len("2026-01-31"):
            day = date.fromisoformat(text) + timedelta(days=days)
            return datetime.combine(day, time(), ZoneInfo(zone))
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
    except (ValueError, OverflowError):
        raise ValueError(f"{text} is no day or time, such as 2026-11-20") from None


def _amounts(chosen: Mapping[str, str]) -> dict[str, Any]:
    """In minor units, with their currency. Raises ValueError."""
    bounds = [name for name in ("amount_from", "amount_to") if name in chosen]
    if not bounds:
        return {}
    currency = chosen.get("currency", settings().default_currency)
    found: dict[str, Any] = {"currency": currency}
    for name in bounds:
        try:
            found[name] = money.parse_amount(chosen[name], currency)
        except money.BadAmount as error:
            raise ValueError(f"{LABELS[name]}: {error}") from None
    return found
