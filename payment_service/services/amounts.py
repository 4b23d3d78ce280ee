"""Reads the amount that a request sends, once its currency is known."""

from __future__ import annotations

from payment_service.config import settings
from payment_service.domain import money
from payment_service.domain.commands import SentAmount
from payment_service.domain.errors import AmountMismatch, InvalidRequest


def in_minor_units(sent: SentAmount | None, currency: str) -> int | None:
    """What was sent, in minor units; None if nothing was.

    Raises InvalidRequest for what is no amount of the currency, and outside 0 to MAX_AMOUNT.
    """
    if sent is None:
        return None
    if sent.in_minor_units:
        return _checked("amount_minor", int(sent.value), currency)
    try:
        return _checked("amount", money.parse_amount(sent.value, currency), currency)
    except money.BadAmount as error:
        raise InvalidRequest.field("amount", str(error)) from None


def required_amount(sent: SentAmount | None, currency: str) -> int:
    """The amount that was sent, in minor units. Raises InvalidRequest if none was."""
    amount = in_minor_units(sent, currency)
    if amount is None:
        raise InvalidRequest.field("amount", "missing; send amount or amount_minor")
    return amount


def expect(
    sent: SentAmount | None, currency: str, wanted: int, *, sent_currency: str | None
) -> None:
    """Raises AmountMismatch if an amount was sent and is not `wanted` (minor units of `currency`),
    or was said to be in another currency: 5.00 of one is not 5.00 of another."""
    elsewhere = sent is not None and sent_currency not in (None, currency)
    amount = None if elsewhere else in_minor_units(sent, currency)
    if elsewhere or amount not in (None, wanted):
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
    most = settings().max_amount.of(currency)
    if money.to_decimal(minor, currency) > most:
        raise InvalidRequest.field(field, f"must not be over {most} {currency}")
    return minor
