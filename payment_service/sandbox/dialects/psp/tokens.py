"""What each payment token makes the provider do."""

from __future__ import annotations

import hashlib
import re

MESSAGES = {
    "insufficient_funds": "The account has insufficient funds.",
    "do_not_honor": "The issuer refused without giving a reason.",
    "expired_card": "The card has expired.",
    "incorrect_cvc": "The security code is wrong.",
    "fraud_suspected": "The payment looks fraudulent.",
    "limit_exceeded": "The amount is over the payer's limit.",
    "authentication_required": "The payer was not authenticated.",
    "method_not_supported": "The payment method is not supported.",
    "provider_declined": "The provider declined.",
    "cancelled": "Cancelled before it was completed.",
    "amount_too_large": "More than was authorized.",
    "not_capturable": "The charge is not authorized.",
    "not_voidable": "The charge can no longer be voided.",
    "refund_exceeds_captured": "More than is left of the captured amount.",
}
DECLINES = tuple(MESSAGES)[:9]

_STATES = {"tok_requires_action": "requires_action", "tok_pending": "pending"}
_APPROVED = {
    "tok_ok",
    "tok_refund_decline",
    "tok_refund_pending",
    "tok_capture_decline",
    "tok_void_decline",
}
_SLOW = re.compile(r"tok_slow_([0-9]{1,6})")


def first_state(token: str | None) -> tuple[str, str | None]:
    """(state, decline code) a new charge takes; state "approved" if nothing is special.

    No token and tokens that don't start with tok_ are approved, so that a caller's own tokens
    work; an unknown tok_ is a typing error and is declined.
    """
    if token is None or not token.startswith("tok_"):
        return "approved", None
    if token in _STATES:
        return _STATES[token], None
    code = token.removeprefix("tok_decline_")
    if code != token and code in DECLINES:
        return "declined", code
    if token in _APPROVED or _SLOW.fullmatch(token):
        return "approved", None
    return "declined", "provider_declined"


def wants(token: str | None, behaviour: str) -> bool:
    """Whether a charge's token decides over what is done to the charge later."""
    return token == f"tok_{behaviour}"


def slowness(token: object) -> float:
    """Seconds that tok_slow_<ms> asks for, else 0."""
    found = _SLOW.fullmatch(token) if isinstance(token, str) else None
    return int(found[1]) / 1000 if found else 0.0


def is_unlucky(reference: str, success_rate: float) -> bool:
    """Whether this reference falls under the configured share of declines, always the same way."""
    if success_rate >= 1.0:
        return False
    draw = int.from_bytes(hashlib.sha256(reference.encode()).digest()[:8], "big") / 2**64
    return draw >= success_rate
