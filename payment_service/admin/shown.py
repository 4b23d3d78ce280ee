"""Amounts and ages as an operator reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from babel import Locale
from babel.numbers import format_decimal
from flask_login import current_user

from payment_service.config import settings
from payment_service.domain import money
from payment_service.domain.around import Written
from payment_service.domain.operators import Numbers

_STEPS = (
    (timedelta(days=365), "year"),
    (timedelta(days=30), "month"),
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "min"),
    (timedelta(seconds=1), "s"),
)


def amount_in(minor: int, currency: str) -> str:
    """Minor units with the currency's decimals and its code: 10486 INR is "104.86 INR". It is
    written as the operator likes it; the code, because a sign such as $ or kr is that of
    several."""
    digits = money.exponent(currency)
    locale = _locale()
    pattern = locale.decimal_formats[None].pattern.split(";")[0].partition(".")[0]
    shown = format_decimal(
        money.to_decimal(minor, currency),
        format=f"{pattern}.{'0' * digits}" if digits else pattern,
        locale=locale,
    )
    return f"{shown}\N{NO-BREAK SPACE}{currency}"


def _locale() -> Locale:
    """The operator's own choice, or that of receipts; the latter where nobody is logged in."""
    chosen = current_user.now.numbers if current_user and current_user.is_authenticated else None
    if chosen in (None, Numbers.RECEIPT):
        chosen = settings().receipt_locale
    return Locale.parse(chosen.replace("-", "_"), sep="_")


def written() -> Written:
    """How who is logged in reads."""
    return Written(ZoneInfo(current_user.now.timezone), amount_in)


def plain_amount(minor: int, currency: str) -> str:
    """As a form sends it: 10486 INR is "104.86"."""
    return money.format_amount(minor, currency)


def share_of(minor: int, whole: int) -> str:
    """Of a whole, in percent, never rounded to none or to all: "0.4 %"."""
    if whole <= 0:
        return ""
    percent = round(100 * minor / whole, 1)
    if minor and percent == 0:
        return "less than 0.1 %"
    if minor < whole and percent == 100:
        return "more than 99.9 %"
    return f"{percent:g} %"


def since(moment: datetime, *, now: datetime | None = None) -> str:
    """How long ago it was, or how long it is till then: "3 min ago", "in 2 hours", "now"."""
    away = moment - (now or datetime.now(UTC))
    for step, name in _STEPS:
        count = int(abs(away) / step)
        if count:
            plural = "s" if count > 1 and name not in ("min", "s") else ""
            words = f"{count} {name}{plural}"
            return f"in {words}" if away > timedelta(0) else f"{words} ago"
    return "now"
