"""What the database can keep of a provider's answer. The rest of it is left out: it must not keep
the outcome from us."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog

from payment_service.domain import jsontext

log = structlog.get_logger(__name__)

LONGEST_TEXT = 500
"""Characters; providers' references and messages are far shorter."""

_YEARS = range(2000, 2100)


def text(value: Any) -> str | None:
    """The text without NUL and halves of surrogate pairs, which PostgreSQL does not take."""
    if value is None:
        return None
    return str(value)[:LONGEST_TEXT].replace("\0", "?").encode(errors="replace").decode()


def fee(value: Any) -> int | None:
    """None for what is no amount in minor units."""
    return value if type(value) is int and abs(value) < 2**63 else None


def moment(value: datetime | None) -> datetime | None:
    """None for a time without a zone: it says no moment, and can't be reckoned with. None, too, for
    one outside this century: in UTC it may be one that the database can't give back."""
    if value is None or value.tzinfo is None or value.year not in _YEARS:
        return None
    return value


def action(value: dict[str, Any] | None, *, reference: str) -> dict[str, Any] | None:
    """None for what JSON, or PostgreSQL's kind of it, has no words for; `reference` is for the
    log."""
    try:
        if "\\u0000" not in jsontext.dumps(value):
            return value
        why = "it has a NUL"
    except TypeError as error:
        why = str(error)
    log.warning("next_action_dropped", reference=reference, why=why)
    return None
