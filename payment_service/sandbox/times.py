"""Times as the sandbox writes them."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> str:
    """The time, UTC, ISO 8601 with milliseconds and Z."""
    return stamp(time.time())


def stamp(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601, UTC."""
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
