"""What a receipt says: its facts, and the lines that follow from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from payment_service.domain import money
from payment_service.domain.fares import Fare, computed_total


@dataclass(frozen=True)
class RefundLine:
    """Money that was given back: `amount` in minor units, `at` when it became certain.

    `refund_id` and `at` are None where only the sum is known (history from another system).
    `reversed_at` is set when the provider took the refund back later: the line stays, another
    one is added.
    """

    refund_id: int | None
    amount: int
    at: datetime | None
    reason: str | None = None
    reversed_at: datetime | None = None


class LineKey(StrEnum):
    DISTANCE = "distance"
    BASE_FARE = "base_fare"
    SURGE = "surge"
    TOTAL_FARE = "total_fare"
    ADJUSTMENT = "adjustment"
    PAID = "paid"
    REFUND = "refund"
    REFUND_RETURNED = "refund_returned"
    NET = "net"


@dataclass(frozen=True)
class Line:
    """One line of the receipt.

    `amount` is signed minor units and takes part in the sum; a line without one only informs.
    `figure` is what the line is about: kilometres, a factor, or money in major units.
    """

    key: LineKey
    amount: int | None = None
    figure: Decimal | None = None
    refund: RefundLine | None = None


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A payment with captured funds, as its payer sees it. Amounts in minor units.

    Raises ValueError for facts that cannot stand on one receipt: naive times, another currency's
    fare, or refunds that come to more than `refunded`.
    """

    reference: str
    payment_id: int
    method: str
    status: str
    currency: str
    amount: int
    captured: int
    refunded: int
    created_at: datetime
    paid_at: datetime
    caller_reference: str | None = None
    trip_id: int | None = None
    order_id: int | None = None
    rider_id: int | None = None
    driver_id: int | None = None
    user_id: int | None = None
    provider: str | None = None
    description: str | None = None
    pickup_zone: str | None = None
    drop_zone: str | None = None
    fare: Fare | None = None
    refunds: tuple[RefundLine, ...] = ()

    def __post_init__(self) -> None:
        times = [self.created_at, self.paid_at]
        times += [t for r in self.refunds for t in (r.at, r.reversed_at) if t is not None]
        if any(t.tzinfo is None for t in times):
            raise ValueError("a receipt's times carry their zone")
        if self.fare is not None and self.fare.currency != self.currency:
            raise ValueError(f"fare in {self.fare.currency}, payment in {self.currency}")
        if not 0 <= self._listed_refunds() <= self.refunded <= self.captured:
            raise ValueError("refunds do not fit the captured amount")

    @property
    def receipt_id(self) -> str:
        return f"RCP-{self.reference}"

    @property
    def net(self) -> int:
        return self.captured - self.refunded

    @property
    def changed_at(self) -> datetime:
        """When the newest line was added."""
        later = [t for r in self.refunds for t in (r.at, r.reversed_at) if t is not None]
        return max([self.paid_at, *later])

    def _listed_refunds(self) -> int:
        return sum(r.amount for r in self.refunds if r.reversed_at is None)

    def all_refunds(self) -> tuple[RefundLine, ...]:
        """The refunds, and one more for what `refunded` holds beyond them."""
        unlisted = self.refunded - self._listed_refunds()
        return (*([RefundLine(None, unlisted, None)] if unlisted else []), *self.refunds)


def lines(receipt: Receipt) -> tuple[Line, ...]:
    """Every line, in order. A refund adds lines at the end and leaves the others as they were.

    The amounts before a total add up to it: parts to the total fare, fare and adjustment to what
    was paid, that and the refunds to the net.
    """
    found: list[Line] = []
    if receipt.fare is not None:
        found += _fare_lines(receipt.fare)
        difference = receipt.captured - receipt.fare.total
        if difference:
            found.append(Line(LineKey.ADJUSTMENT, amount=difference))
    found.append(Line(LineKey.PAID, amount=receipt.captured))
    refunds = list(_refund_lines(receipt))
    if refunds:
        found += [*refunds, Line(LineKey.NET, amount=receipt.net)]
    return tuple(found)


def _fare_lines(fare: Fare) -> Iterator[Line]:
    base, distance, surge = _split(fare) or (None, None, None)
    if fare.distance_km is not None:
        yield Line(LineKey.DISTANCE, amount=distance or None, figure=fare.distance_km)
    if fare.base_fare is not None:
        yield Line(LineKey.BASE_FARE, amount=base, figure=fare.base_fare)
    if fare.surge_multiplier not in (None, 1):
        yield Line(LineKey.SURGE, amount=surge, figure=fare.surge_multiplier)
    yield Line(LineKey.TOTAL_FARE, amount=fare.total)


def _split(fare: Fare) -> tuple[int, int, int] | None:
    """The total taken apart into base, distance and surge, or None where they don't make it.

    A total that the trip service set need not follow from its parts; then the parts are printed
    without amounts rather than with made-up ones.
    """
    if fare.base_fare is None:
        return None
    surge = Decimal(1) if fare.surge_multiplier is None else fare.surge_multiplier
    parts: dict[str, Any] = {
        "rate_per_km": fare.rate_per_km or Decimal(0),
        "distance_km": fare.distance_km or Decimal(0),
        "currency": fare.currency,
    }
    base = money.round_to_minor(fare.base_fare, fare.currency)
    whole = money.to_decimal(base, fare.currency) == fare.base_fare
    if not whole or computed_total(base_fare=fare.base_fare, surge=surge, **parts) != fare.total:
        return None
    ride = computed_total(base_fare=Decimal(0), surge=Decimal(1), **parts)
    distance = fare.total - base if surge == 1 else ride
    return base, distance, fare.total - base - distance


def _refund_lines(receipt: Receipt) -> Iterator[Line]:
    events: list[tuple[datetime, Line]] = []
    for refund in receipt.all_refunds():
        at = refund.at or receipt.paid_at
        events.append((at, Line(LineKey.REFUND, amount=-refund.amount, refund=refund)))
        if refund.reversed_at is not None:
            back = Line(LineKey.REFUND_RETURNED, amount=refund.amount, refund=refund)
            events.append((refund.reversed_at, back))
    # The sort is stable, so lines of one instant keep the order they were given in.
    yield from (line for _, line in sorted(events, key=lambda event: event[0]))


def as_dict(receipt: Receipt) -> dict[str, Any]:
    """The receipt as JSON has it: amounts as decimal strings, times ISO 8601 in UTC with Z."""
    return {
        "receipt_id": receipt.receipt_id,
        "payment_id": receipt.payment_id,
        "reference": receipt.reference,
        "caller_reference": receipt.caller_reference,
        "trip_id": receipt.trip_id,
        "order_id": receipt.order_id,
        "rider_id": receipt.rider_id,
        "driver_id": receipt.driver_id,
        "user_id": receipt.user_id,
        "method": receipt.method,
        "provider": receipt.provider,
        "status": receipt.status,
        "currency": receipt.currency,
        "amount": money.format_amount(receipt.amount, receipt.currency),
        "amount_paid": money.format_amount(receipt.captured, receipt.currency),
        "amount_refunded": money.format_amount(receipt.refunded, receipt.currency),
        "net_amount": money.format_amount(receipt.net, receipt.currency),
        "description": receipt.description,
        "pickup_zone": receipt.pickup_zone,
        "drop_zone": receipt.drop_zone,
        "fare": receipt.fare.as_json() if receipt.fare is not None else None,
        "lines": [_line_as_dict(line, receipt.currency) for line in lines(receipt)],
        "refunds": [_refund_as_dict(r, receipt.currency) for r in receipt.all_refunds()],
        "created_at": _utc(receipt.created_at),
        "paid_at": _utc(receipt.paid_at),
    }


def _line_as_dict(line: Line, currency: str) -> dict[str, Any]:
    return {
        "line": str(line.key),
        "figure": None if line.figure is None else format(line.figure, "f"),
        "amount": None if line.amount is None else money.format_amount(line.amount, currency),
        "refund_id": None if line.refund is None else line.refund.refund_id,
    }


def _refund_as_dict(refund: RefundLine, currency: str) -> dict[str, Any]:
    return {
        "refund_id": refund.refund_id,
        "amount": money.format_amount(refund.amount, currency),
        "reason": refund.reason,
        "refunded_at": _utc(refund.at),
        "returned_at": _utc(refund.reversed_at),
    }


def _utc(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")
