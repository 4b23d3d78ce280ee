"""What the address of the payments' list asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from payment_service.config import settings
from payment_service.domain import money
from payment_service.domain.money import BadAmount
from payment_service.domain.vocabulary import Method, PaymentStatus

NAMES = {
    "status": "Status",
    "method": "Method",
    "provider": "Provider",
    "currency": "Currency",
    "from": "From",
    "to": "To",
    "at_least": "At least",
    "at_most": "At most",
}
"""Filters, by their names in the address, in words."""
DAYS = (7, 30, 90)
"""How far back is looked where no index serves: the first, unless another one is asked for."""
_WITHOUT_INDEX = ("method", "provider", "currency", "at_least", "at_most")
LONGEST = 100
"""Characters of a filter: no provider's name is as long."""


@dataclass(frozen=True)
class Asked:
    """`chosen` is what stands in the address, `filters` what the list takes, `wrong` what is not
    understood, in words. `days` is how far back is looked, None for all of it."""

    chosen: Mapping[str, str]
    filters: Mapping[str, Any]
    wrong: list[str]
    days: int | None


def asked(args: Mapping[str, str], zone: str) -> Asked:
    """Reads an address. Days are those of the operator's `zone`."""
    chosen = {name: text for name in NAMES if (text := args.get(name, "").strip())}
    filters: dict[str, Any] = {}
    wrong = []
    for name, text in chosen.items():
        try:
            filters |= _read(name, text[:LONGEST], chosen, zone)
        except ValueError as error:
            wrong.append(f"{NAMES[name]}: {error}")
    days = None
    if "created_from" not in filters and not _is_rare(filters) and _lacks_index(chosen):
        sent = args.get("days", "")
        days = int(sent) if sent in map(str, DAYS) else DAYS[0]
        filters["created_from"] = datetime.now(UTC) - timedelta(days=days)
    return Asked(chosen, filters, wrong, days)


def _lacks_index(chosen: Mapping[str, str]) -> bool:
    return any(name in chosen for name in _WITHOUT_INDEX)


def _is_rare(filters: Mapping[str, Any]) -> bool:
    return filters.get("status") not in (None, PaymentStatus.SUCCESS)


def _read(name: str, text: str, chosen: Mapping[str, str], zone: str) -> dict[str, Any]:
    """Raises ValueError with what is wrong."""
    if name in ("status", "method"):
        known: type[PaymentStatus | Method] = PaymentStatus if name == "status" else Method
        if text.upper() not in known.__members__:
            raise ValueError(f"there is no {name} of that name")
        return {name: text.upper()}
    if name in ("from", "to"):
        return _day(name, text, zone)
    if name == "provider":
        return {name: _plain(text)}
    currency = chosen.get("currency", settings().default_currency).upper()
    money.expect_known(currency)
    if name == "currency":
        return {"currency": currency}
    bound = "amount_from" if name == "at_least" else "amount_to"
    try:
        return {"currency": currency, bound: money.parse_amount(text, currency)}
    except BadAmount as error:
        raise ValueError(str(error)) from None


def _plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("there is a character in it that can't be typed")
    return text


def _day(name: str, text: str, zone: str) -> dict[str, datetime]:
    try:
        day = date.fromisoformat(text)
        whole = day + timedelta(days=1) if name == "to" else day
    except (ValueError, OverflowError):
        raise ValueError("write the day as 2026-01-31") from None
    begins = datetime.combine(whole, time(), ZoneInfo(zone))
    return {"created_from" if name == "from" else "created_to": begins}
