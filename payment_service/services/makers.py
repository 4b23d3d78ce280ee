"""Who made an operator what he is."""

from __future__ import annotations

import json

from sqlalchemy import Connection, func, select

from payment_service.domain.acts import Act
from payment_service.domain.four_eyes import NOT_BY_WHOM_ONE_MADE
from payment_service.domain.operators import Role
from payment_service.domain.pages import is_at_least
from payment_service.services.audit_log import ENTRY

_MAKE = (Act.OPERATOR_ADDED, Act.INVITE_MADE, Act.OPERATOR_ENABLED)
"""By each of these somebody comes in who could not. A link to a new password is one too: whoever
makes it could use it."""


def made_lately(connection: Connection, *, maker: str, made: str) -> bool:
    """Whether the operator `maker` invited or raised the operator `made` lately; both by their
    names in the audit log."""
    query = select(ENTRY.c.act, ENTRY.c.body).where(
        ENTRY.c.at > func.now() - NOT_BY_WHOM_ONE_MADE,
        ENTRY.c.actor == maker,
        ENTRY.c.object == made,
        ENTRY.c.act.in_((*_MAKE, Act.OPERATOR_ROLE_CHANGED)),
    )
    return any(
        row.act != Act.OPERATOR_ROLE_CHANGED or _raised(row.body)
        for row in connection.execute(query)
    )


def _raised(body: str | None) -> bool:
    said = json.loads(body or "{}")
    return not is_at_least(Role(said["from"]), Role(said["to"]))
