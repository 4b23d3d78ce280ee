"""A payment to be, with its price: the fare that the trip service tells, or the amount sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import structlog

from payment_service import trips
from payment_service.config import settings
from payment_service.domain import money
from payment_service.domain.callers import Caller
from payment_service.domain.commands import Create
from payment_service.domain.errors import FareTooHigh, InvalidRequest
from payment_service.domain.references import payment_reference
from payment_service.domain.vocabulary import Method, PaymentStatus, Purpose
from payment_service.services import amounts
from payment_service.services.moves.rows import PaymentRow
from payment_service.telemetry import metrics
from payment_service.trips import Trip

log = structlog.get_logger(__name__)

COPIED = (
    "trip_id",
    "order_id",
    "rider_id",
    "driver_id",
    "user_id",
    "payment_token",
    "description",
)

_ZERO = ("payment_id", "amount", "authorized", "captured", "refunded", "refund_pending", "share")
_BLANK = {
    **{name: 0 if name in _ZERO else None for name in PaymentRow.__annotations__},
    "imported": False,
}


def draft(command: Create, caller: Caller, moment: datetime) -> PaymentRow:
    """A payment row of what was sent, with no amount yet and not written anywhere."""
    row = {
        **_BLANK,
        **{name: getattr(command, name) for name in COPIED},
        "purpose": Purpose.FARE,
        "currency": command.currency or settings().default_currency,
        "method": command.method or Method.CARD,
        "status": PaymentStatus.PROCESSING,
        "reference": payment_reference(moment),
        "caller": caller.name,
        "caller_reference": command.reference,
        "metadata": dict(command.metadata),
        "version": 1,
        "created_at": moment,
        "updated_at": moment,
    }
    return cast(PaymentRow, row)


def priced(command: Create, caller: Caller) -> PaymentRow:
    """The payment to be with its amount: the trip's fare if the trip service is there to say.

    Raises AmountMismatch, InvalidRequest and what ask_trip raises.
    """
    trip = ask_trip(command.trip_id, command.currency)
    payment = draft(command, caller, datetime.now(UTC))
    if trip is None:
        payment["amount"] = amounts.required_amount(command.amount, payment["currency"])
    else:
        payment = at_fare_of(payment, trip)
        amounts.expect(
            command.amount,
            payment["currency"],
            payment["amount"],
            sent_currency=command.currency,
        )
    expect_driver(payment, payment["method"])
    return payment


def ask_trip(trip_id: int | None, currency: str | None) -> Trip | None:
    """The COMPLETED trip with a fare that can be charged; None without a trip or a trip service.

    `currency` counts where the trip names none. Raises FareTooHigh, InvalidRequest for a fare of 0,
    and what trips.ask raises.
    """
    if trip_id is None or not settings().trip_service_url:
        return None
    trip = trips.ask(trip_id=trip_id, currency=currency)
    if trip.fare.total <= 0:
        raise InvalidRequest.field("trip_id", "the trip's fare is 0; there is nothing to charge")
    expect_below_ceiling(trip.fare.total, trip.fare.currency)
    return trip


def expect_below_ceiling(amount: int, currency: str) -> None:
    """Raises FareTooHigh for an amount (minor units) over MAX_AMOUNT that a trip service or an
    import names; nobody sent it, so an operator has to hear of it."""
    most = settings().max_amount.of(currency)
    if money.to_decimal(amount, currency) <= most:
        return
    metrics.FARES_TOO_HIGH.inc()
    text = money.format_amount(amount, currency)
    log.error("fare_too_high", fare=text, currency=currency)
    raise FareTooHigh(
        f"the fare is {text} {currency}, and no more than {most} is charged here;"
        " have the trip looked at",
        {"trip_id": [f"its fare is over {most} {currency}"]},
        fare=text,
        currency=currency,
    )


def at_fare_of(payment: PaymentRow, trip: Trip) -> PaymentRow:
    """The payment at its trip's fare; rider and driver are the trip's unless they are known."""
    return payment | {
        "amount": trip.fare.total,
        "currency": trip.fare.currency,
        "fare": trip.fare.as_json() | trip.zones,
        "rider_id": payment["rider_id"] or trip.rider_id,
        "driver_id": payment["driver_id"] or trip.driver_id,
    }


def expect_driver(payment: PaymentRow, method: str) -> None:
    """Raises InvalidRequest if the trip's cash has nobody who took it."""
    if method == Method.CASH and payment["trip_id"] and not payment["driver_id"]:
        raise InvalidRequest.field("driver_id", "CASH for a trip needs the driver who took it")
