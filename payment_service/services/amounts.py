"""Reads the amount that a request sends, once its currency is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payment_service.config import settings
from payment_service.domain import money
from payment_service.domain.errors import AmountMismatch, InvalidRequest


def sent_amount(command: Mapping[str, Any], currency: str) -> int | None:
    """`amount` or `amount_minor` of the request in minor units; None if neither was sent.

    Raises InvalidRequest for both, for what is no amount of the currency, and outside 0 to
    MAX_AMOUNT.
    """
    if "amount" in command and "amount_minor" in command:
        raise InvalidRequest.field("amount_minor", "send amount or amount_minor, not both")
    if "amount_minor" in command:
        return _checked("amount_minor", command["amount_minor"], currency)
    if "amount" not in command:
        return None
    try:
        return _checked("amount", money.parse_amount(command["amount"], currency), currency)
    except money.BadAmount as error:
        raise InvalidRequest.field("amount", str(error)) from None


def required_amount(command: Mapping[str, Any], currency: str) -> int:
    """The amount that was sent, in minor units. Raises InvalidRequest if none was."""
    amount = sent_amount(command, currency)
    if amount is None:
        raise InvalidRequest.field("amount", "missing; send amount or amount_minor")
    return amount


def expect(command: Mapping[str, Any], currency: str, wanted: int) -> None:
    """Raises AmountMismatch if an amount was sent and is not `wanted` (minor units)."""
    amount = sent_amount(command, currency)
    if amount is not None and amount != wanted:
        text = money.format_amount(wanted, currency)
        raise AmountMismatch(
            f"the amount must be {text} {currency}, or be left out",
            {"amount": [f"must be {text}"]},
            expected_amount=text,
            currency=currency,
        )


def _checked(field: str, minor: int, currency: str) -> int:
    if minor <= 0:
        raise InvalidRequest.field(field, "must be more than 0")
    if money.to_decimal(minor, currency) > settings().max_amount:
        raise InvalidRequest.field(field, f"must not be over {settings().max_amount} {currency}")
    return minor
