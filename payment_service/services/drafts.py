"""A payment to be: what was sent, its amount, and which providers may be asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from payment_service import trips
from payment_service.config import settings
from payment_service.domain.callers import Caller
from payment_service.domain.errors import InvalidRequest
from payment_service.domain.references import payment_reference
from payment_service.domain.vocabulary import Method, PaymentStatus, Purpose, TransactionType
from payment_service.providers.contract import Provider
from payment_service.services import amounts
from payment_service.services.operations import providers
from payment_service.services.rows import PAYMENT_COLUMNS, Row

COPIED = (
    "trip_id",
    "order_id",
    "rider_id",
    "driver_id",
    "user_id",
    "payment_token",
    "description",
)

_ZERO = ("authorized", "captured", "refunded", "refund_pending", "share")
_BLANK: Row = {column.name: 0 if column.name in _ZERO else None for column in PAYMENT_COLUMNS}


def draft(command: Mapping[str, Any], caller: Caller, moment: datetime) -> Row:
    """A payment row of what was sent, with no amount yet and not written anywhere."""
    return {
        **_BLANK,
        **{name: command.get(name) for name in COPIED},
        "purpose": Purpose.FARE,
        "currency": command.get("currency") or settings().default_currency,
        "method": method_of(command) or Method.CARD,
        "status": PaymentStatus.PROCESSING,
        "reference": payment_reference(moment),
        "caller": caller.name,
        "caller_reference": command.get("reference"),
        "metadata": command.get("metadata") or {},
        "version": 1,
        "created_at": moment,
        "updated_at": moment,
    }


def method_of(command: Mapping[str, Any]) -> str | None:
    """The method under either of its names. Raises InvalidRequest if they differ."""
    method, other = command.get("method"), command.get("payment_method")
    if method and other and method != other:
        raise InvalidRequest.field("payment_method", "differs from method; send one of them")
    return method or other


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


def priced(command: Mapping[str, Any], caller: Caller) -> Row:
    """The payment to be with its amount: the trip's fare if the trip service is there to say."""
    if "trip_id" in command and settings().trip_service_url:
        trip = trips.ask(trip_id=command["trip_id"], currency=command.get("currency"))
        payment = draft(command, caller, datetime.now(UTC))
        payment["currency"] = trip.fare.currency
        payment["rider_id"] = payment["rider_id"] or trip.rider_id
        payment["driver_id"] = payment["driver_id"] or trip.driver_id
        payment["amount"] = trip.fare.total
        payment["fare"] = trip.fare.as_json() | trip.zones
        amounts.expect(command, trip.fare.currency, trip.fare.total)
        if trip.fare.total <= 0:
            raise InvalidRequest.field(
                "trip_id", "the trip's fare is 0; there is nothing to charge"
            )
    else:
        payment = draft(command, caller, datetime.now(UTC))
        payment["amount"] = amounts.required_amount(command, payment["currency"])
    return payment


def expect_driver(payment: Row, method: str) -> None:
    """Raises InvalidRequest if the trip's cash has nobody who took it."""
    if method == Method.CASH and payment["trip_id"] and not payment["driver_id"]:
        raise InvalidRequest.field("driver_id", "CASH for a trip needs the driver who took it")
