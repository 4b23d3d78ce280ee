"""A webhook that an operator has taken in once more from its page."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from payment_service.domain.callers import Caller
from payment_service.domain.pages import Deed
from payment_service.domain.vocabulary import WebhookStatus
from payment_service.services import rights, webhooks
from payment_service.services.sessions import Current

_STANDS = ("webhook_id", "status", "attempts", "due_at", "processed_at", "error")


def shown(row: Mapping[str, Any]) -> str:
    """What stands for the webhook as a page shows it; another one as soon as somebody took it in.
    The form sends it back."""
    return hashlib.sha256(repr([row[name] for name in _STANDS]).encode()).hexdigest()


def why_not(row: Mapping[str, Any]) -> str | None:
    """Why it can't be replayed, None if it can."""
    if row["status"] == WebhookStatus.IGNORED:
        return "It is of a type that nothing is done with."
    return None


def replay(now: Current, *, webhook_id: int, was_shown: str, caller: Caller) -> bool:
    """Takes it in once more, if it still stands as it was shown; whether that was so. A form that
    is sent twice acts once. Raises WebhookNotFound, NotAllowed, OutOfReach."""
    rights.expect(now, Deed.REPLAY)
    return webhooks.replay(
        webhook_id=webhook_id, caller=caller, if_so=lambda row: shown(row) == was_shown
    )
