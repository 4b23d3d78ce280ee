"""Who made operators what they are."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from payment_service.domain.acts import Act
from payment_service.domain.four_eyes import NOT_BY_WHOM_ONE_MADE
from payment_service.domain.operators import Role, operator_name
from payment_service.domain.pages import is_at_least
from payment_service.models import OperatorInvite
from payment_service.services.audit_log import ENTRY
from payment_service.services.refund_limits import OPERATORS

INVITE = OperatorInvite.__table__

_MAKE = (
    *(Act.OPERATOR_ADDED, Act.INVITE_MADE, Act.OPERATOR_ENABLED, Act.SECOND_FACTOR_RESET),
    Act.OPERATOR_ROLE_CHANGED,
)
"""By each of these somebody may come in who could not, or may do more. A link to a new password is
one too: whoever makes it could use it."""


def are_one_hand(connection: Connection, one: str, other: str) -> bool:
    """Whether one of two operators made the other lately, or somebody made both of them, himself or
    by others whom he had made lately; all by their names in the audit log."""
    makers = _makers(connection)
    return not _hands(one, makers).isdisjoint(_hands(other, makers))


def _hands(name: str, makers: Mapping[str, set[str]]) -> set[str]:
    """The operator, who made him, who made those, and so on."""
    found: set[str] = set()
    new = {name}
    while new:
        found |= new
        new = {maker for one in new for maker in makers.get(one, ())} - found
    return found


def _makers(connection: Connection) -> Mapping[str, set[str]]:
    """Who lately made whom, by the one who was made. Only operators: who has the command line has
    the database."""
    found: dict[str, set[str]] = defaultdict(set)
    since = func.now() - NOT_BY_WHOM_ONE_MADE
    acts = select(ENTRY.c.act, ENTRY.c.actor, ENTRY.c.object, ENTRY.c.body).where(
        ENTRY.c.at > since, ENTRY.c.act.in_(_MAKE), ENTRY.c.actor.startswith(OPERATORS)
    )
    for row in connection.execute(acts):
        if row.act != Act.OPERATOR_ROLE_CHANGED or _raised(row.body):
            found[row.object].add(row.actor)
    # A link is good for a day itself: its maker's day begins when somebody comes in by it.
    used = select(INVITE.c.operator_id, INVITE.c.created_by).where(INVITE.c.used_at > since)
    for row in connection.execute(used.where(INVITE.c.created_by.startswith(OPERATORS))):
        found[operator_name(row.operator_id)].add(row.created_by)
    return found


def _raised(body: str | None) -> bool:
    said = json.loads(body or "{}")
    return not is_at_least(Role(said["from"]), Role(said["to"]))
