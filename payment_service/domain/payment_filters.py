"""The filters of the operators' list of payments: the one place that names them. The address of the
list, its form and the saved views are made of these."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from payment_service.domain.money import EXPONENTS
from payment_service.domain.vocabulary import METHOD_ALIASES, STATUS_ALIASES, Method, PaymentStatus


def _word(words: set[str], aliases: Mapping[str, str]) -> Callable[[str], str]:
    def read(value: str) -> str:
        word = aliases.get(value.upper(), value.upper())
        if word not in words:
            raise ValueError("is one of " + ", ".join(sorted(words)))
        return word

    return read


def _like(pattern: str, what: str, fold: Callable[[str], str] = str) -> Callable[[str], str]:
    matcher = re.compile(pattern, re.ASCII)

    def read(value: str) -> str:
        if not matcher.fullmatch(fold(value)):
            raise ValueError(what)
        return fold(value)

    return read


def _currency(value: str) -> str:
    if value.upper() not in EXPONENTS:
        raise ValueError("is a currency's code, such as INR")
    return value.upper()


def _id(value: str) -> str:
    if not re.fullmatch("[0-9]{1,19}", value, re.ASCII) or not 0 < int(value) < 2**63:
        raise ValueError("is a number above 0")
    return str(int(value))


def _moment(value: str) -> str:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("is a day or a time, such as 2026-11-20") from None
    if not value.isascii():
        raise ValueError("is a day or a time, such as 2026-11-20")
    return value


_AMOUNT = _like(r"[0-9]{1,12}(\.[0-9]{1,4})?", "is an amount, such as 104.86")
_YES = _like("yes", "is yes, or is left out", str.lower)

IDS = ("trip_id", "order_id", "rider_id", "driver_id", "user_id")
WITHIN: Mapping[str, str] = {
    "today": "Today",
    "week": "This week",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
}
"""Times that go on, in words. Today and this week, from Monday, are those of the service's zone."""

FILTERS: Mapping[str, Callable[[str], str]] = {
    "status": _word({str(status) for status in PaymentStatus}, STATUS_ALIASES),
    "method": _word({str(method) for method in Method}, METHOD_ALIASES),
    "provider": _like("[a-z0-9_-]{1,50}", "is a provider's name", str.lower),
    "currency": _currency,
    "amount_from": _AMOUNT,
    "amount_to": _AMOUNT,
    "created_from": _moment,
    "created_to": _moment,
    "within": _like("|".join(WITHIN), "is " + ", ".join(WITHIN), str.lower),
    "reason": _like(r"[A-Za-z0-9_.:-]{1,100}", "is a failure's code"),
    "stuck": _YES,
    "refunded": _YES,
    "contradicted": _YES,
    **dict.fromkeys(IDS, _id),
}
"""What the list can be asked for, and how each value is read: it raises ValueError with what it
should be. With `refunded`, times are those at which a refund was asked for."""

LABELS: Mapping[str, str] = {
    "status": "Status",
    "method": "Method",
    "provider": "Provider",
    "currency": "Currency",
    "amount_from": "At least",
    "amount_to": "At most",
    "created_from": "From",
    "created_to": "To",
    "within": "Within",
    "reason": "Failure's code",
    "stuck": "Stuck",
    "refunded": "Refunded",
    "contradicted": "Contradicted this week",
    **{name: name.removesuffix("_id").capitalize() for name in IDS},
}
"""Each filter in words."""
