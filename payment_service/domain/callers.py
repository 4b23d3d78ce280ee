"""Who asks, as far as a rule or a record needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from payment_service.domain.vocabulary import Actor


class Scope(StrEnum):
    """What a token allows. None includes another."""

    READ = "payments:read"
    WRITE = "payments:write"
    REFUND = "refunds:write"
    ADMIN = "payments:admin"


RIDERS: Final = "riders"
"""What a rider does for itself; no scope lets anybody else do it."""


@dataclass(frozen=True)
class Caller:
    """`name` owns idempotency keys; `actor` and `request_id` go into the events. Of an operator
    also the session and the address, which are kept and told to nobody."""

    name: str
    actor: Actor = Actor.CALLER
    request_id: str | None = None
    session_id: int | None = None
    address: str | None = None


WORKER = Caller("worker", Actor.WORKER)

LOCAL = "local"
"""The one caller where nobody is asked for a token."""
_OURS = frozenset({LOCAL, "import", "provider", WORKER.name})
_OURS_BEGIN = ("operator:", "cli:")
"""Behind these stand people: operators of the panel, and who runs commands."""


def is_reserved(name: str) -> bool:
    """Whether the name means somebody of this house in the rows, so that no token may bear it."""
    lower = name.lower()
    return lower in _OURS or lower.startswith(_OURS_BEGIN)
