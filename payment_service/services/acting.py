"""Who acts in the panel, as the database knows it at the moment of the act."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from payment_service.config import settings
from payment_service.domain.callers import Caller
from payment_service.domain.operators import OutOfReach, Role, StepUpFirst, operator_name
from payment_service.domain.pages import Deed, expect_may


@dataclass(frozen=True)
class Acting:
    """An operator who may do it, held until the transaction ends."""

    operator_id: int
    role: Role

    @property
    def name(self) -> str:
        """As in events and in the audit log."""
        return operator_name(self.operator_id)


# Held, so that two acts of one operator don't both find room below the limit of the day, and who is
# disabled or lowered meanwhile is so before the act or after it.
_HOLD = text("""
    SELECT o.operator_id, o.role,
           coalesce(s.stepped_up_at > now() - make_interval(secs => :seconds), false) AS stepped_up
    FROM operator_sessions s JOIN operators o USING (operator_id)
    WHERE s.session_id = :session_id AND s.ended_at IS NULL AND o.active
    FOR NO KEY UPDATE OF o
""")


def hold(connection: Connection, caller: Caller, deed: Deed, *, stepped_up: bool = False) -> Acting:
    """The operator whose session the caller acts in. To be called once payment and request are
    locked, so that all lock in one order: payment, request, operator, and the audit log last.

    Raises OutOfReach if the session is over or another's, NotAllowed by the role, and with
    `stepped_up` StepUpFirst unless the password or the code was shown within STEP_UP_SECONDS.
    """
    values = {"session_id": caller.session_id, "seconds": settings().step_up_seconds}
    row = connection.execute(_HOLD, values).one_or_none()
    if row is None or operator_name(row.operator_id) != caller.name:
        raise OutOfReach("This session is over.")
    expect_may(Role(row.role), deed)
    if stepped_up and not row.stepped_up:
        raise StepUpFirst("Show once more who you are, and then decide.")
    return Acting(row.operator_id, Role(row.role))
