"""Asks the trip service for a finished trip's fare."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from payment_service import http
from payment_service.config import Settings, settings
from payment_service.domain import money
from payment_service.domain.errors import (
    InvalidRequest,
    TripNotCompleted,
    TripNotFound,
    TripServiceUnavailable,
)
from payment_service.domain.fares import Fare, computed_total

COMPLETED = "COMPLETED"


@dataclass(frozen=True)
class Trip:
    """What a charge needs to know of a COMPLETED trip."""

    trip_id: int
    rider_id: int | None
    driver_id: int | None
    fare: Fare
    zones: dict[str, str]


def ask(*, trip_id: int, currency: str | None) -> Trip:
    """The COMPLETED trip with its fare. The trip's own currency decides over `currency`.

    Raises TripNotFound, TripNotCompleted, TripServiceUnavailable (also for an answer that can't
    be read), InvalidRequest where the fare can't be told.
    """
    found = _fetch(trip_id)
    try:
        status = str(found["status"]).upper()
        if status != COMPLETED:
            raise TripNotCompleted(
                f"trip {trip_id} is {status}; only a COMPLETED trip can be charged",
                trip_id=trip_id,
                trip_status=status,
            )
        return Trip(
            trip_id=trip_id,
            rider_id=_id(found.get("rider_id")),
            driver_id=_id(found.get("driver_id")),
            fare=_fare(found, currency, settings()),
            zones={
                name: str(found[name])[:100]
                for name in ("pickup_zone", "drop_zone")
                if found.get(name)
            },
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise _unavailable(
            f"the trip service's answer about trip {trip_id} can't be read"
        ) from error


def _fetch(trip_id: int) -> dict[str, Any]:
    base = (settings().trip_service_url or "").rstrip("/")
    try:
        answer = http.get(f"{base}/v1/trips/{trip_id}", timeout=settings().trip_timeout_seconds)
        if answer.status == 404:
            raise TripNotFound(
                f"there is no trip {trip_id}", {"trip_id": ["unknown to the trip service"]}
            )
        found = answer.json() if answer.status == 200 else None
    except (http.Unreachable, http.Silence, ValueError) as error:
        raise _unavailable("the trip service does not answer") from error
    if not isinstance(found, dict):
        raise _unavailable("the trip service gave no trip")
    return found


def _unavailable(detail: str) -> TripServiceUnavailable:
    return TripServiceUnavailable(f"{detail}; nothing was charged, ask again", retry_after=2)


def _fare(found: dict[str, Any], currency: str | None, chosen: Settings) -> Fare:
    code = str(found.get("currency") or currency or chosen.default_currency).upper()
    if code not in money.EXPONENTS:
        raise ValueError("unknown currency")
    parts = {name: _number(found.get(name)) for name in ("distance_km", "base_fare")}
    surge = _number(found.get("surge_multiplier"))
    total = _number(found.get("total_fare"))
    if total is not None:
        minor = money.parse_amount(format(total, "f"), code)
        return Fare(minor, code, parts["distance_km"], parts["base_fare"], None, surge)
    return _computed(code, parts["distance_km"], surge, chosen)


def _computed(code: str, distance: Decimal | None, surge: Decimal | None, chosen: Settings) -> Fare:
    wanted = {
        "the trip's distance_km": distance,
        "the trip's surge_multiplier": surge,
        "the setting BASE_FARE": chosen.base_fare,
        "the setting RATE_PER_KM": chosen.rate_per_km,
    }
    missing = [name for name, value in wanted.items() if value is None]
    if distance is None or surge is None or chosen.base_fare is None or chosen.rate_per_km is None:
        raise InvalidRequest.field(
            "trip_id", f"the trip has no total_fare, and to compute it {' and '.join(missing)} miss"
        )
    total = computed_total(
        base_fare=chosen.base_fare,
        rate_per_km=chosen.rate_per_km,
        distance_km=distance,
        surge=surge,
        currency=code,
    )
    return Fare(total, code, distance, chosen.base_fare, chosen.rate_per_km, surge)


def _number(value: Any) -> Decimal | None:
    """A non-negative JSON number or decimal string, exactly; None stays None."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueError("not a number")
    number = Decimal(value)
    if not number.is_finite() or number < 0:
        raise ValueError("not a usable number")
    return number


def _id(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError("not an id")
    return value
