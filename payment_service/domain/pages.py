"""Where pages for people are: the operators', which answer in HTML, take a cookie and no token, and
who may see which; and the payers'."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

from payment_service.domain.operators import Refused, Role

PAGES = "/admin"
PAYERS_PAGES = "/v1/pay"
"""Where payers' pages are: HTML too, without a cookie, and whoever has the link is let in."""

OPEN: Final = "open"
"""Nobody is asked who it is."""
ANY_LOG_IN: Final = "any log-in"
"""Half a log-in will do: one whose second factor is still to come, or to be set up."""
PageRule = Role | Literal["open", "any log-in"]
"""Who may see a page: an operator of this role or of one that may do more; or as above."""

_RANK = {role: rank for rank, role in enumerate(Role)}


def is_page(path: str) -> bool:
    """Whether there is a page of the operators at this path, or would be if there were any."""
    return path == PAGES or path.startswith(f"{PAGES}/")


def is_payers_page(path: str) -> bool:
    """Whether there is a payer's page at this path, or would be if there were any."""
    return path == PAYERS_PAGES or path.startswith(f"{PAYERS_PAGES}/")


def is_at_least(role: Role, wanted: Role) -> bool:
    """Whether who has `role` may do all that `wanted` may."""
    return _RANK[role] >= _RANK[wanted]


class Deed(StrEnum):
    """What an operator does on a page, in words that go into a refusal."""

    FIND = "look payments up"
    READ_NOTES = "read notes"
    ADD_NOTE = "write notes"
    KEEP_VIEWS = "keep views"
    SHARE_VIEW = "share views"


MAY: dict[Deed, Role] = {
    Deed.FIND: Role.VIEWER,
    Deed.READ_NOTES: Role.VIEWER,
    Deed.ADD_NOTE: Role.OPERATOR,
    Deed.KEEP_VIEWS: Role.VIEWER,
    Deed.SHARE_VIEW: Role.OPERATOR,
}
"""Who may do what: this role, and those that may do more. Held in the services' calls
(services/rights), so that no page can forget it."""


class RoleTooLow(Refused):
    """The operator's role does not do this; `wanted` is the lowest that does."""

    def __init__(self, deed: Deed) -> None:
        self.wanted = MAY[deed]
        super().__init__(f"To {deed} one must be {self.wanted} at least.")


def expect_may(role: Role, deed: Deed) -> None:
    """Raises RoleTooLow."""
    if not is_at_least(role, MAY[deed]):
        raise RoleTooLow(deed)
