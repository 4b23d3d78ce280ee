"""Which providers may be asked for a payment, in order, and what they can't take."""

from __future__ import annotations

from payment_service.domain import money
from payment_service.domain.commands import HowToCharge
from payment_service.domain.errors import (
    InvalidRequest,
    MethodNotSupported,
    PartialRefundNotSupported,
)
from payment_service.domain.vocabulary import TransactionType
from payment_service.providers.provider import Provider
from payment_service.services.moves.operations import providers
from payment_service.services.moves.rows import PaymentRow


def route(command: HowToCharge, payment: PaymentRow) -> list[Provider]:
    """Who is asked for the priced payment, in order; at least one.

    Raises MethodNotSupported, and InvalidRequest for the name of a provider that is not on.
    """
    method, currency = payment["method"], payment["currency"]
    named = command.provider
    found = [_named(named, method)] if named else providers().route(method, currency)
    able = [provider for provider in found if provider.takes(method=method, currency=currency)]
    if not able:
        what = f"{method} in {currency} here"
        if named:
            raise MethodNotSupported.field("provider", f"{named} takes no {what}")
        raise MethodNotSupported.field("method", f"no provider takes {what}")
    amount = payment["amount"]
    stepped = [provider for provider in able if amount % provider.step(currency) == 0]
    if not stepped:
        step = min(provider.step(currency) for provider in able)
        raise MethodNotSupported.field("amount", _multiple(step, currency))
    fitting = [provider for provider in stepped if amount >= provider.least.get(currency, 1)]
    if not fitting:
        least = min(provider.least[currency] for provider in stepped)
        at_least = money.format_amount(least, currency)
        raise MethodNotSupported.field("amount", f"must be at least {at_least} {currency}")
    kind = type_of(command)
    willing = [provider for provider in fitting if kind in provider.capabilities]
    if not willing:
        raise MethodNotSupported.field("capture", f"{method} can't be held for a later capture")
    return willing


def _named(name: str, method: str) -> Provider:
    if found := providers().find(name):
        return found
    raise InvalidRequest.field("provider", f"{name} is not on here, or takes no {method}")


def _multiple(step: int, currency: str) -> str:
    return f"must be a multiple of {money.format_amount(step, currency)} {currency}"


def type_of(command: HowToCharge) -> TransactionType:
    """A charge, or (capture=false) an authorization."""
    return TransactionType.AUTHORIZATION if command.held else TransactionType.CHARGE


def expect_step(amount: int, *, currency: str, provider: str) -> None:
    """Raises InvalidRequest for an amount (minor units) of a capture or refund that the provider
    can't express."""
    found = providers().find(provider)
    if found and amount % found.step(currency):
        raise InvalidRequest.field("amount", _multiple(found.step(currency), currency))


def expect_refundable(payment: PaymentRow, amount: int, *, provider: str) -> None:
    """Raises PartialRefundNotSupported, or InvalidRequest, for an amount (minor units) that the
    provider can't give back of the payment."""
    currency = payment["currency"]
    found = providers().find(provider)
    if found and found.full_refunds_only and amount != payment["captured"]:
        whole = money.format_amount(payment["captured"], currency)
        raise PartialRefundNotSupported(
            f"{provider} gives back all of a payment, and no part of it",
            {"amount": [f"must be {whole}, or be left out"]},
            refundable=whole,
            currency=currency,
        )
    expect_step(amount, currency=currency, provider=provider)
