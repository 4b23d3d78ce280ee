"""What a customer has saved at a provider, as callers see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from payment_service.domain.vocabulary import MethodStatus


@dataclass(frozen=True)
class PaymentMethod:
    """Without its token, which nobody is told."""

    payment_method_id: int
    provider: str
    kind: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    is_default: bool
    status: str
    created_at: datetime


@dataclass(frozen=True)
class BegunSetup:
    """A payer is to bring a method; `next_action` says how."""

    setup_id: int
    next_action: dict[str, Any] | None = field(repr=False)


@dataclass(frozen=True)
class AddMethod:
    """At that provider, or at the one that cards are routed to."""

    provider: str | None = None
    return_url: str | None = field(default=None, repr=False)


def status_on(day: date, *, status: str, exp_year: int | None, exp_month: int | None) -> str:
    """How a method stands on that day: a card is good to the end of its month."""
    if (
        status == MethodStatus.ACTIVE
        and exp_year
        and (exp_year, exp_month or 12)
        < (
            day.year,
            day.month,
        )
    ):
        return MethodStatus.EXPIRED
    return status
