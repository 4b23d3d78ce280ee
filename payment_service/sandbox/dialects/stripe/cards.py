"""What each of Stripe's test payment methods does."""

from __future__ import annotations

from typing import NamedTuple


class No(NamedTuple):
    """A decline in Stripe's words: `code`, and `decline_code` where it has one."""

    code: str
    decline_code: str | None
    message: str = "Your card was declined."


DECLINES = {
    "pm_card_chargeDeclined": No("card_declined", "generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": No("card_declined", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": No("card_declined", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": No("card_declined", "lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": No("card_declined", "stolen_card"),
    "pm_card_chargeDeclinedFraudulent": No("card_declined", "fraudulent"),
    "pm_card_chargeDeclinedExpiredCard": No("expired_card", None, "Your card has expired."),
    "pm_card_chargeDeclinedIncorrectCvc": No(
        "incorrect_cvc", None, "Your card's security code is incorrect."
    ),
    "pm_card_chargeDeclinedProcessingError": No(
        "processing_error", None, "An error occurred while processing your card."
    ),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": No(
        "card_declined", "card_velocity_exceeded"
    ),
}
ACTS = {"pm_card_authenticationRequired", "pm_card_threeDSecure2Required"}
PENDING_REFUND = "pm_card_pendingRefund"
FINE = {
    "pm_card_visa",
    "pm_card_visa_debit",
    "pm_card_mastercard",
    "pm_card_amex",
    PENDING_REFUND,
    "pm_card_refundFail",
}
KNOWN = FINE | ACTS | DECLINES.keys()

NOT_AUTHENTICATED = No(
    "payment_intent_authentication_failure",
    None,
    "The provided PaymentMethod has failed authentication.",
)
NEEDS_AUTHENTICATION = No(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)

# What a fault may decline with, and what the SANDBOX_SUCCESS_RATE does, are words of ours.
_THEIRS = {
    "do_not_honor": No("card_declined", "do_not_honor"),
    "insufficient_funds": No("card_declined", "insufficient_funds"),
    "expired_card": No("expired_card", None),
    "incorrect_cvc": No("incorrect_cvc", None),
    "fraud_suspected": No("card_declined", "fraudulent"),
    "limit_exceeded": No("card_declined", "card_velocity_exceeded"),
}


def theirs(code: str) -> No:
    """Stripe's words for the code that a fault names."""
    return _THEIRS.get(code, No("card_declined", "generic_decline"))
