"""Which providers may be asked for a payment, in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payment_service.domain.errors import InvalidRequest
from payment_service.domain.vocabulary import TransactionType
from payment_service.providers.contract import Provider
from payment_service.services.moves.operations import providers


def route(command: Mapping[str, Any], method: str) -> list[Provider]:
    """Who is asked, in order. Raises InvalidRequest if nobody takes it."""
    named = command.get("provider")
    found = [providers().find(named)] if named else providers().route(method)
    able = [provider for provider in found if provider and method in provider.methods]
    if not able and named:
        raise InvalidRequest.field("provider", f"{named} is not on here, or takes no {method}")
    if not able:
        raise InvalidRequest.field("method", f"no provider takes {method} here")
    kind = type_of(command)
    willing = [provider for provider in able if kind in provider.capabilities]
    if not willing:
        raise InvalidRequest.field("capture", f"{method} can't be held for a later capture")
    return willing


def type_of(command: Mapping[str, Any]) -> TransactionType:
    """A charge, or (capture=false) an authorization."""
    held = command.get("capture") is False
    return TransactionType.AUTHORIZATION if held else TransactionType.CHARGE
