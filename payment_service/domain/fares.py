"""What a finished trip costs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext

from payment_service.domain import money


@dataclass(frozen=True)
class Fare:
    """A trip's fare: `total` in minor units of `currency`, the parts in major units as given."""

    total: int
    currency: str
    distance_km: Decimal | None = None
    base_fare: Decimal | None = None
    rate_per_km: Decimal | None = None
    surge_multiplier: Decimal | None = None

    def as_json(self) -> dict[str, str]:
        """The parts that are known, as decimal strings, for the receipt."""
        parts = {
            "distance_km": self.distance_km,
            "base_fare": self.base_fare,
            "rate_per_km": self.rate_per_km,
            "surge_multiplier": self.surge_multiplier,
        }
        lines = {name: format(value, "f") for name, value in parts.items() if value is not None}
        return lines | {"total_fare": money.format_amount(self.total, self.currency)}


def computed_total(
    *, base_fare: Decimal, rate_per_km: Decimal, distance_km: Decimal, surge: Decimal, currency: str
) -> int:
    """(BASE_FARE + RATE_PER_KM x distance_km) x surge_multiplier, rounded once, half up.

    All in major units; the answer in minor units.
    """
    with localcontext(money.EXACT):
        return money.round_to_minor((base_fare + rate_per_km * distance_km) * surge, currency)
