"""What a caller wants done, read once: frozen values, whoever made them.

The API's schemas make them of a body. A page or a job that calls a service makes them itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from payment_service.domain.payers import Said
from payment_service.domain.vocabulary import Method, PaymentStatus, RefundStatus


@dataclass(frozen=True)
class SentAmount:
    """An amount as it was sent, in major units or in minor ones: its currency may be known only
    later."""

    value: str | int | Decimal
    in_minor_units: bool = False


@dataclass(frozen=True, kw_only=True)
class HowToCharge:
    """By what a payment is to be paid; None leaves it to the payment, or to the routes. `held`
    holds the funds for a later capture. `said` is what is said of the payer.
    `payment_method_id` is a saved one, in place of a token."""

    method: Method | None = None
    provider: str | None = None
    payment_token: str | None = field(default=None, repr=False)
    payment_method_id: int | None = None
    held: bool = False
    said: Said | None = None


@dataclass(frozen=True, kw_only=True)
class Create(HowToCharge):
    """What a payment is made of. `reference` is the caller's own."""

    trip_id: int | None = None
    order_id: int | None = None
    rider_id: int | None = None
    driver_id: int | None = None
    user_id: int | None = None
    amount: SentAmount | None = None
    currency: str | None = None
    reference: str | None = None
    description: str | None = field(default=None, repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Charge(Create):
    """A payment that is made, or is PENDING for the trip or order, and is charged at once."""


@dataclass(frozen=True, kw_only=True)
class ChargePending(HowToCharge):
    """A charge of a payment that is named."""


@dataclass(frozen=True, kw_only=True)
class Capture:
    """Of held funds: all, or this part."""

    amount: SentAmount | None = None


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Of a payment, or of its hold."""

    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class SetStatus:
    """A person's word on how a payment ended."""

    status: PaymentStatus
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class RefundPayment:
    """Of all that is left, or of this part."""

    amount: SentAmount | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class RefundNamedPayment(RefundPayment):
    """The same, of the payment that it names."""

    payment_id: int


@dataclass(frozen=True, kw_only=True)
class SetRefundStatus:
    """A person's word on how a refund ended."""

    status: RefundStatus
    reason: str | None = None
