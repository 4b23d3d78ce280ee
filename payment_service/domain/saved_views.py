"""Views of the list of payments: filters under a name, and those that are built in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from payment_service.domain.operators import Refused
from payment_service.domain.payment_filters import FILTERS

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
