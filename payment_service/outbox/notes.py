"""What a rider reads about a payment, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CHANNEL = "push"

_MESSAGES = {
    "payment.succeeded": "Your payment of {amount_captured} {currency} went through.",
    "payment.failed": "Your payment of {amount} {currency} failed. Nothing was charged.",
    "payment.authorized": "{amount} {currency} are held for your trip.",
    "payment.cancelled": "Your payment of {amount} {currency} was cancelled.",
    "payment.expired": "Your payment of {amount} {currency} expired. Nothing was charged.",
    "payment.refunded": "Your payment of {amount_captured} {currency} was refunded.",
    "payment.partially_refunded": (
        "{amount_refunded} of {amount_captured} {currency} of your payment were refunded."
    ),
    "payment.refund_taken_back": "A refund of your payment did not go through.",
}


def message(event_type: str, data: Mapping[str, Any]) -> str:
    """One sentence. An event that has no words of its own is told by its status."""
    words = _MESSAGES.get(event_type, "Your payment of {amount} {currency} is {status} now.")
    return words.format_map(data)
