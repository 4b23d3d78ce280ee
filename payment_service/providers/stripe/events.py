"""Stripe's webhooks: events, signed. Each is read for the one request of ours that it is about."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import stripe

from payment_service.json_objects import each_once
from payment_service.providers.contract import Outcome, Result
from payment_service.providers.stripe import disputes, reading
from payment_service.providers.stripe.answers import UNREADABLE
from payment_service.providers.webhooks import (
    Incoming,
    Notice,
    Notices,
    RefusedFor,
    Trust,
    WebhookRefused,
)

TOLERANCE = 300.0
"""Seconds that an event may be old, by Stripe's own advice: it signs each sending anew."""

Found = Mapping[str, Any]


def read(
    incoming: Incoming, *, secrets: tuple[str, ...], version: str, live: bool, key: str | None
) -> Notices:
    """The event, if it is signed by one of the secrets, as of the API version that is ours. `key`
    is the publishable one, which a payer's app needs.

    Raises WebhookRefused.
    """
    _expect_signed(incoming, secrets)
    try:
        event = json.loads(incoming.body, object_pairs_hook=each_once)
        event_key, kind = event["id"], event["type"]
        if not (isinstance(event_key, str) and isinstance(kind, str) and event_key):
            raise ValueError("no event")
        notice = Notice(event_key, kind, taken=kind in READERS or kind in SAVED)
        if event.get("account") is not None:
            notice = replace(notice, mismatch="account")
        elif event["livemode"] is not live:
            notice = replace(notice, mismatch="mode")
        if kind in SAVED:
            notice = replace(notice, customer=_customer(event))
        elif notice.taken:
            notice = replace(notice, reference=_reference(event))
            # Of another version nothing but that is believed: its objects have other fields.
            if event["api_version"] == version:
                notice = READERS[kind](notice, event["data"]["object"], key)
    except UNREADABLE as error:
        raise WebhookRefused(RefusedFor.UNREADABLE) from error
    return Notices(Trust.SIGNED, (notice,))


def _expect_signed(incoming: Incoming, secrets: tuple[str, ...]) -> None:
    header = incoming.headers.get("stripe-signature")
    if not header:
        raise WebhookRefused(RefusedFor.NO_SIGNATURE)
    if not any(_is_signed(incoming.body, header, secret) for secret in secrets):
        raise WebhookRefused(RefusedFor.BAD_SIGNATURE)
    # By the time at which it came and not by the clock: what was taken in can be read again.
    signed_at = next(part[2:] for part in header.split(",") if part.startswith("t="))
    if abs(incoming.received_at.timestamp() - int(signed_at)) > TOLERANCE:
        raise WebhookRefused(RefusedFor.TOO_OLD)


def _is_signed(body: bytes, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret))
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        return False  # the last two: bytes that are no text, a signature beyond ASCII


def _reference(event: Found) -> str | None:
    """Our reference of the request that the event is about. A cancel takes no metadata, and a
    charge's event names no refund: there it is the key of the request that led to it, if it is one
    of ours for that payment. Whoever works in Stripe's Dashboard sends keys, too."""
    found, kind = event["data"]["object"], event["type"]
    key, named = reading.asked_by(event), reading.reference_of(found)
    if kind == "payment_intent.succeeded":
        return reading.reference_of(found, reading.CAPTURE) or named
    if kind in ("payment_intent.canceled", "charge.refunded") and _is_ours(key, named):
        return key
    return named


def _customer(event: Found) -> str | None:
    """Whose saved card it is about. One that was detached is nobody's any more; of whom it was is
    in what it was before."""
    data = event["data"]
    found = {**data["object"], **(data.get("previous_attributes") or {})}
    whose = found.get("customer")
    return whose if isinstance(whose, str) else None


def _is_ours(key: str | None, named: str | None) -> bool:
    """Whether the key is a reference of ours, of the same payment as the one that is named."""
    if key is None or named is None:
        return False
    return key.rpartition("-")[0] == named.rpartition("-")[0]


def _of_intent(notice: Notice, intent: Found, key: str | None) -> Notice:
    """The charge or hold that the intent was made for."""
    return replace(
        notice,
        known_as=intent["id"],
        result=reading.charge(intent, key=key),
        amount=intent["amount"],
        currency=intent["currency"].upper(),
    )


def _of_success(notice: Notice, intent: Found, key: str | None) -> Notice:
    """A charge that succeeded; of a hold it is the capture that did."""
    if notice.reference == reading.reference_of(intent):
        return _of_intent(notice, intent, key)
    taken = intent["amount_received"]
    result = Result(Outcome.APPROVED, intent["id"], taken)
    return replace(_of_intent(notice, intent, key), result=result, amount=taken)


def _of_end(notice: Notice, intent: Found, key: str | None) -> Notice:
    """An intent that was canceled: by a void of ours, or by its time."""
    if notice.reference == reading.reference_of(intent):
        return _of_intent(notice, intent, key)
    return replace(_of_intent(notice, intent, key), result=reading.void(intent))


def _to_be_asked(notice: Notice, intent: Found, key: str | None) -> Notice:
    """A try that failed: whoever holds the client_secret may have tried again since."""
    return replace(_of_intent(notice, intent, key), result=None)


def _of_refund(notice: Notice, refund: Found, _: str | None) -> Notice:
    return replace(
        notice,
        gives_back=None if notice.reference else refund["payment_intent"],
        known_as=refund["id"],
        result=reading.refund(refund),
        amount=refund["amount"],
        currency=refund["currency"].upper(),
    )


def _of_refunds(notice: Notice, charge: Found, _: str | None) -> Notice:
    """It tells what was given back in all, and not how the one refund ended."""
    return notice


def _of_dispute(notice: Notice, dispute: Found, _: str | None) -> Notice:
    return replace(notice, reference=None, dispute=disputes.read(dispute))


READERS: Mapping[str, Callable[[Notice, Found, str | None], Notice]] = {
    "payment_intent.succeeded": _of_success,
    "payment_intent.amount_capturable_updated": _of_intent,
    "payment_intent.processing": _of_intent,
    "payment_intent.requires_action": _of_intent,
    "payment_intent.payment_failed": _to_be_asked,
    "payment_intent.canceled": _of_end,
    "charge.refunded": _of_refunds,
    "refund.created": _of_refund,
    "refund.updated": _of_refund,
    "refund.failed": _of_refund,
    **dict.fromkeys(
        (
            *(f"charge.dispute.{word}" for word in ("created", "updated", "closed")),
            *(f"charge.dispute.funds_{word}" for word in ("withdrawn", "reinstated")),
        ),
        _of_dispute,
    ),
}
"""The types that are taken; docs/providers.md names them for whoever sets up the endpoint."""

SAVED = frozenset(
    {
        "setup_intent.succeeded",
        *(f"payment_method.{word}" for word in ("attached", "detached", "automatically_updated")),
    }
)
"""The types that are taken as news of what a customer has saved."""

TYPES = frozenset(
    {
        *READERS,
        *SAVED,
        *(
            f"customer.subscription.{word}"
            for word in ("created", "updated", "deleted", "paused", "resumed")
        ),
        *(f"invoice.{word}" for word in ("paid", "payment_failed", "payment_action_required")),
        *(f"payout.{word}" for word in ("paid", "failed", "reconciliation_completed")),
    }
)
"""Counted by name; what has no reader is not taken."""
