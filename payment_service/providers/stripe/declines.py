"""Stripe's words for no, and ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_OURS = {
    "insufficient_funds": "insufficient_funds",
    "do_not_honor": "do_not_honor generic_decline call_issuer no_action_taken"
    " transaction_not_allowed service_not_allowed not_permitted restricted_card"
    " revocation_of_all_authorizations security_violation stop_payment_order",
    "expired_card": "expired_card invalid_expiry_month invalid_expiry_year",
    "incorrect_cvc": "incorrect_cvc invalid_cvc",
    "fraud_suspected": "fraudulent stolen_card lost_card pickup_card merchant_blacklist",
    "limit_exceeded": "card_velocity_exceeded withdrawal_count_limit_exceeded",
    "authentication_required": "authentication_required payment_intent_authentication_failure"
    " offline_pin_required online_or_offline_pin_required",
    "method_not_supported": "card_not_supported currency_not_supported"
    " payment_method_not_available",
    "invalid_token": "incorrect_number invalid_number invalid_account",
    "amount_too_large": "invalid_amount amount_too_large",
}
CODES = {theirs: ours for ours, words in _OURS.items() for theirs in words.split()}
"""`decline_code`, else `code`; what is not here is provider_declined."""

REFUSALS = {
    "amount_too_large": "amount_too_large",
    "amount_too_small": "provider_declined",
    "invalid_amount": "amount_too_large",
    "charge_already_refunded": "refund_exceeds_captured",
    "charge_disputed": "provider_declined",
    "charge_expired_for_capture": "not_capturable",
    "currency_not_supported": "method_not_supported",
    "payment_method_not_available": "method_not_supported",
}
"""A 400 with one of these codes is a no to this request, and not a mistake in it."""


def code_of(error: Mapping[str, Any]) -> str:
    """Ours for an error of a card, or of an intent's last try."""
    return next((CODES[word] for word in _words(error) if word in CODES), "provider_declined")


def message_of(error: Mapping[str, Any]) -> str:
    """The provider's own words: the most exact code first."""
    return ": ".join([*list(_words(error))[:1], str(error.get("message") or "")]).rstrip(": ")


def refusal_of(error: Mapping[str, Any], *, refund: bool) -> str | None:
    """Our code for a 400 or 404 that says no to this request; None if it says that the request
    itself is wrong."""
    code, param = error.get("code"), error.get("param")
    if code == "resource_missing" and param in ("payment_method", "customer"):
        return "invalid_token"
    if refund and param == "amount":
        return "refund_exceeds_captured"
    if param == "currency":
        return "method_not_supported"
    return REFUSALS.get(code) if isinstance(code, str) else None


def _words(error: Mapping[str, Any]) -> Iterator[str]:
    for name in ("decline_code", "code"):
        if isinstance(word := error.get(name), str):
            yield word
