"""The parameters of requests: what there is, and what is wrong with it."""

from __future__ import annotations

from typing import Any

from payment_service.sandbox import amounts
from payment_service.sandbox.dialects.stripe.refusing import bad

LARGEST = 99_999_999
"""Stripe takes no amount of more than eight digits."""

CREATE = {
    "amount",
    "currency",
    "capture_method",
    "confirm",
    "customer",
    "description",
    "expand",
    "metadata",
    "off_session",
    "payment_method",
    "payment_method_types",
    "return_url",
}
CONFIRM = {"client_secret", "expand", "off_session", "payment_method", "return_url"}
CAPTURE = {"amount_to_capture", "expand", "metadata"}
CANCEL = {"cancellation_reason", "expand"}
REFUND = {"amount", "charge", "expand", "metadata", "payment_intent", "reason"}


def expect_known(form: dict[str, Any], known: set[str]) -> None:
    """Raises for a parameter that there is not."""
    for name in form:
        if name not in known:
            raise bad(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)


def of_intent(form: dict[str, Any]) -> dict[str, Any]:
    """What a new intent is asked for with. Raises StripeSays."""
    expect_known(form, CREATE)
    currency = str(form.get("currency", "")).lower()
    if amounts.exponent(currency.upper()) is None:
        raise bad(f"Invalid currency: {currency}.", param="currency")
    amount = number(form, "amount")
    if amounts.exponent(currency.upper()) == 3 and amount % 10:
        raise bad("Invalid amount: its last digit must be 0.", param="amount")
    capture = form.get("capture_method", "automatic_async")
    if capture not in ("automatic", "automatic_async", "manual"):
        raise bad(f"Invalid capture_method: {capture}", param="capture_method")
    return {
        **form,
        "amount": amount,
        "currency": currency,
        "capture_method": capture,
        "metadata": metadata(form),
        "payment_method_types": form.get("payment_method_types") or ["card"],
    }


def number(form: dict[str, Any], name: str) -> int:
    """A positive amount in minor units. Raises StripeSays."""
    text = form.get(name)
    if text is None:
        raise bad(f"Missing required param: {name}.", code="parameter_missing", param=name)
    if not (isinstance(text, str) and text.isascii() and text.isdigit()):
        raise bad(f"Invalid integer: {text}", code="parameter_invalid_integer", param=name)
    if int(text) == 0:
        raise bad("This value must be greater than 0.", code="amount_too_small", param=name)
    if int(text) > LARGEST:
        raise bad("Amount must be no more than 999,999.99", code="amount_too_large", param=name)
    return int(text)


def metadata(form: dict[str, Any]) -> dict[str, str]:
    """Raises StripeSays."""
    found = form.get("metadata") or {}
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise bad("Invalid hash", param="metadata")
    return found
