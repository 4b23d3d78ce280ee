"""Views of the list of payments: the filters that there are, and the views that are built in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from payment_service.domain.money import EXPONENTS
from payment_service.domain.operators import Refused
from payment_service.domain.vocabulary import METHOD_ALIASES, STATUS_ALIASES, Method, PaymentStatus

LONGEST_NAME = 60
"""Characters."""
MOST = 50
"""Views of one operator: more than a menu holds, and few enough to be read at once."""


class BadView(Refused):
    """The name, a filter or its value can't be one."""


class NameTaken(Refused):
    """The operator has another view of this name."""


class TooManyViews(Refused):
    """The operator has as many as one may have."""


class UnknownView(Refused):
    """The operator has no such view."""


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

FILTERS: Mapping[str, Callable[[str], str]] = {
    "status": _word({str(status) for status in PaymentStatus}, STATUS_ALIASES),
    "method": _word({str(method) for method in Method}, METHOD_ALIASES),
    "provider": _like("[a-z0-9_-]{1,50}", "is a provider's name", str.lower),
    "currency": _word(set(EXPONENTS), {}),
    "amount_from": _AMOUNT,
    "amount_to": _AMOUNT,
    "created_from": _moment,
    "created_to": _moment,
    "within": _like("today|week|7d|30d|90d", "is today, week, 7d, 30d or 90d", str.lower),
    "reason": _like(r"[A-Za-z0-9_.:-]{1,100}", "is a failure's code"),
    "stuck": _YES,
    "refunded": _YES,
    **dict.fromkeys(("trip_id", "order_id", "rider_id", "driver_id", "user_id"), _id),
}
"""What the list can be asked for, and how each value is read: it raises ValueError with what it
should be. `within` is a time that goes on: today and this week are those of the service's zone."""


@dataclass(frozen=True)
class BuiltIn:
    """A view that everybody has; `slug` names it in addresses."""

    slug: str
    name: str
    query: Mapping[str, str]


BUILT_IN = (
    BuiltIn("stuck", "Stuck now", {"stuck": "yes"}),
    BuiltIn("failed-today", "Failed today", {"status": "FAILED", "within": "today"}),
    BuiltIn("refunded-this-week", "Refunded this week", {"refunded": "yes", "within": "week"}),
    BuiltIn("cash", "Cash to collect", {"method": "CASH", "status": "PENDING"}),
    BuiltIn("over-5000", "Over 5000", {"amount_from": "5000"}),
)


def checked_name(name: str) -> str:
    """The name without blanks around it. Raises BadView."""
    plain = " ".join(name.split())
    if not 1 <= len(plain) <= LONGEST_NAME or not plain.isprintable():
        raise BadView(f"A view's name has 1 to {LONGEST_NAME} visible characters.")
    return plain


def checked_query(query: Mapping[str, str]) -> dict[str, str]:
    """The filters as they are kept, those that are empty left out. Raises BadView, for a name that
    is no filter too."""
    found = {}
    for name, value in query.items():
        if name not in FILTERS:
            raise BadView("The list of payments has no such filter.")
        if not value.strip():
            continue
        try:
            found[name] = FILTERS[name](value.strip())
        except ValueError as error:
            raise BadView(f"{name} {error}.") from None
    if not found:
        raise BadView("A view has one filter at least.")
    return found
