"""Whether who asks may do it: what each service of the operators' pages asks first."""

from __future__ import annotations

from payment_service.domain import pages
from payment_service.domain.operators import OutOfReach, Reach
from payment_service.domain.pages import Deed
from payment_service.services.sessions import Current


def expect(now: Current, deed: Deed) -> None:
    """Raises OutOfReach for a session whose second factor is still to come, and NotAllowed."""
    if now.reach != Reach.ALL:
        raise OutOfReach("The second factor comes first.")
    pages.expect_may(now.role, deed)
