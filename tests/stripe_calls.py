"""A Stripe provider aimed at the sandbox, and what the sandbox's books say."""

from __future__ import annotations

from typing import Any

import requests

from payment_service.providers.stripe import StripeProvider
from payment_service.sandbox.dialects.stripe.objects import VERSION
from tests.patience import LIMITS, PATIENCE
from tests.sandbox_server import Sandbox

KEY = "sk_test_sandbox"
DECLINES = {
    "insufficient_funds": "pm_card_chargeDeclinedInsufficientFunds",
    "do_not_honor": "pm_card_chargeDeclined",
    "expired_card": "pm_card_chargeDeclinedExpiredCard",
    "incorrect_cvc": "pm_card_chargeDeclinedIncorrectCvc",
    "fraud_suspected": "pm_card_chargeDeclinedFraudulent",
    "limit_exceeded": "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
    "provider_declined": "pm_card_chargeDeclinedProcessingError",
}
"""Our codes, and the test tokens that are declined for them."""


def provider(sandbox: Sandbox, **changes: Any) -> StripeProvider:
    """One that asks the sandbox, with the settings that are named."""
    usual: dict[str, Any] = {
        "api_key": KEY,
        "limits": LIMITS,
        "base": f"{sandbox.url}/stripe",
        "version": VERSION,
    }
    return StripeProvider(**usual | changes)


def ask(sandbox: Sandbox, method: str, path: str, **more: Any) -> requests.Response:
    """A request to the sandbox's Stripe as it is."""
    headers = {"Authorization": f"Bearer {KEY}", **more.pop("headers", {})}
    url = f"{sandbox.url}/stripe{path}"
    return requests.request(method, url, headers=headers, timeout=PATIENCE, **more)


def listed(sandbox: Sandbox, noun: str, **query: Any) -> list[dict[str, Any]]:
    """The newest hundred of the noun."""
    found = ask(sandbox, "GET", f"/v1/{noun}", params={"limit": 100, **query}).json()
    rows: list[dict[str, Any]] = found["data"]
    return rows
