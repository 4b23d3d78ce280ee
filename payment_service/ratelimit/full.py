"""Who has no room, and until when: so nobody is asked about him again before."""

from __future__ import annotations

import time

from payment_service.ratelimit.windows import Limit, Standing

MOST_NAMES = 10_000
"""With one more all begin anew, which only has them asked about once more."""


class Full:
    """Kept by each process for itself. It is as exact as asking: whoever is refused is not counted,
    so that nothing can make room before the time that was told. With several windows that is not
    so, since one may count what the other refuses; of those nothing is kept."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], tuple[float, Standing]] = {}

    def keep(self, limit: Limit, who: str, standing: Standing) -> None:
        """What was told just now."""
        if standing.taken or len(limit.windows) > 1:
            return
        if len(self._until) >= MOST_NAMES:
            self._until.clear()
        self._until[limit.name, who] = time.monotonic() + standing.reset, standing

    def standing(self, limit: Limit, who: str) -> Standing | None:
        """How it stands now, if there is surely no room; None where somebody must be asked."""
        until, standing = self._until.get((limit.name, who), (0.0, None))
        if standing is None:
            return None
        if (reset := until - time.monotonic()) <= 0:
            self._until.pop((limit.name, who), None)
            return None
        return standing._replace(reset=reset)
