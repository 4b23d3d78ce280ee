"""Where pages for people are: the operators', which answer in HTML, take a cookie and no token, and
who may see which and do what; and the payers'."""

from __future__ import annotations

from collections.abc import Mapping
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
    """What can be done in the panel."""

    READ = "read"
    KEEP_VIEWS = "keep views"
    SHARE_VIEW = "share views"
    NOTE = "write a note"
    EXPORT = "export"
    REFUND = "refund"
    ASK = "ask for a refund that another one decides on"
    WITHDRAW = "withdraw a request"
    CAPTURE = "capture"
    CANCEL = "cancel"
    RESOLVE = "look up"
    DELIVER = "send events again"
    SKIP = "skip events"
    REPLAY = "replay a webhook"
    SETTLE_CASH = "settle cash"
    APPROVE = "approve a refund"
    DECLINE = "decline a refund"
    SEE_CUSTOMER = "look at customers"
    ERASE_CUSTOMER = "erase customers"
    EDIT_CATALOG = "edit the catalog"
    EDIT_OPERATORS = "edit operators"


MAY: Mapping[Deed, Role] = {
    **dict.fromkeys((Deed.READ, Deed.KEEP_VIEWS), Role.VIEWER),
    **dict.fromkeys((Deed.NOTE, Deed.SHARE_VIEW, Deed.EXPORT), Role.OPERATOR),
    **dict.fromkeys((Deed.REFUND, Deed.ASK, Deed.WITHDRAW), Role.OPERATOR),
    **dict.fromkeys((Deed.CAPTURE, Deed.CANCEL, Deed.RESOLVE, Deed.SETTLE_CASH), Role.OPERATOR),
    Deed.SEE_CUSTOMER: Role.OPERATOR,
    **dict.fromkeys((Deed.DELIVER, Deed.SKIP, Deed.REPLAY), Role.OPERATOR),
    **dict.fromkeys((Deed.APPROVE, Deed.DECLINE), Role.APPROVER),
    **dict.fromkeys((Deed.EDIT_CATALOG, Deed.EDIT_OPERATORS, Deed.ERASE_CUSTOMER), Role.ADMIN),
}
"""The role that each needs; one that may do more may do it too. The services ask it
(services/rights, and services/acting where money moves), whatever a page shows."""


class NotAllowed(Refused):
    """The operator's role does not reach this; `wanted` is the lowest that does."""

    def __init__(self, role: Role, deed: Deed) -> None:
        self.wanted = MAY[deed]
        super().__init__(
            f"To {deed} is for operators with the role {self.wanted}. Yours is {role}."
        )


def expect_may(role: Role, deed: Deed) -> None:
    """Raises NotAllowed, which names the role that may."""
    if not is_at_least(role, MAY[deed]):
        raise NotAllowed(role, deed)
