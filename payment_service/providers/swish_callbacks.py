"""How Swish calls us back. Nobody signs it: what it says is a reason to look, and nothing else.

The callbackIdentifier that a request was made with comes back as a header. It is an HMAC of the
request's instructionUUID, so that strangers can't even make us look.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from decimal import Decimal
from typing import Any

from payment_service.json_objects import each_once
from payment_service.providers import swish_objects
from payment_service.providers.webhooks import (
    Incoming,
    Notice,
    Notices,
    RefusedFor,
    Trust,
    WebhookRefused,
)

STATUSES = frozenset({"CREATED", "VALIDATED", "DEBITED", "PAID", "DECLINED", "ERROR", "CANCELLED"})
HEADER = "callbackidentifier"

_UUID = re.compile(r"[0-9A-F]{32}", re.ASCII)
_PLAIN = re.compile(r"(PAY)([0-9]{8})([0-9A-Z]{12})([0-9]{1,9})", re.ASCII)


def instruction_uuid(reference: str) -> str:
    """Swish's name of a request, made of ours: a look-up needs nothing that is stored."""
    return hashlib.sha256(reference.encode()).hexdigest()[:32].upper()


def plain(reference: str) -> str:
    """Our reference as Swish takes it: 1 to 35 letters and digits."""
    return re.sub(r"[^A-Za-z0-9]", "", reference)[:35]


def identifier(uuid: str, secret: str) -> str:
    """32 characters."""
    return hmac.new(secret.encode(), uuid.encode(), hashlib.sha256).hexdigest()[:32].upper()


def read(incoming: Incoming, *, payee: str, secret: str) -> Notices:
    """Raises WebhookRefused."""
    found = _object(incoming.body)
    uuid = found["id"]
    shown = incoming.headers.get(HEADER)
    if not shown:
        raise WebhookRefused(RefusedFor.NO_SIGNATURE)
    if not hmac.compare_digest(shown.encode(), identifier(uuid, secret).encode()):
        raise WebhookRefused(RefusedFor.BAD_SIGNATURE)
    refund = "payerPaymentReference" in found or "originalPaymentReference" in found
    reference = _ours(found.get("payerPaymentReference" if refund else "payeePaymentReference"))
    ours = reference is not None and instruction_uuid(reference) == uuid
    merchant = found.get("payerAlias" if refund else "payeeAlias")
    currency = found.get("currency")
    notice = Notice(
        event_key=f"{uuid}:{found['status']}",
        event_type=found["status"],
        reference=reference if ours else None,
        known_as=None if ours else uuid,
        amount=_minor(found.get("amount"), currency),
        currency=currency if isinstance(currency, str) else None,
        mismatch=None if merchant == payee else "another merchant",
    )
    return Notices(Trust.UNSIGNED, (notice,))


def _object(body: bytes) -> dict[str, Any]:
    """With an id and a status. Raises WebhookRefused."""
    try:
        found = json.loads(body, parse_float=Decimal, object_pairs_hook=each_once)
        if not _UUID.fullmatch(found["id"]) or found["status"] not in STATUSES:
            raise ValueError("no callback of Swish's")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise WebhookRefused(RefusedFor.UNREADABLE) from None
    return dict(found)


def _ours(text: Any) -> str | None:
    """Our reference with its hyphens again; None for what is none."""
    parts = _PLAIN.fullmatch(text) if isinstance(text, str) else None
    return "-".join(parts.groups()) if parts else None


def _minor(value: Any, currency: Any) -> int | None:
    """None for what can't be an amount: it decides nothing here."""
    try:
        return swish_objects.minor(value, currency)
    except (ValueError, KeyError, TypeError):
        return None
