"""Asks the trip service for a finished trip's fare, and believes nothing that can't be kept."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

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
from payment_service.telemetry import traces

COMPLETED = "COMPLETED"


@dataclass(frozen=True)
class Trip:
    """What a charge needs to know of a COMPLETED trip."""

    trip_id: int
    rider_id: int | None
    driver_id: int | None
    fare: Fare
    zones: dict[str, str]


class Text(fields.Field[str]):
    """One line that a database keeps and a receipt shows; an empty one is none."""

    LONGEST = 100
    # Control characters, halves of surrogate pairs, ends of lines.
    UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        if not isinstance(value, str):
            raise ValidationError("must be a string")
        if len(value) > self.LONGEST or self.UNFIT & set(map(unicodedata.category, value)):
            raise ValidationError(f"must be one line of at most {self.LONGEST} characters")
        return value


class Number(fields.Field[Decimal | None]):
    """A JSON number or a string with one, not below 0, read exactly; an empty string is none.

    It is bounded so that what is computed of it has an end, and a receipt can show it.
    """

    def __init__(self, *, whole_digits: int) -> None:
        super().__init__(allow_none=True, load_default=None)
        self._whole_digits = whole_digits

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Decimal | None:
        if value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
            raise ValidationError("must be a number")
        try:
            # Python takes 1_0 and digits of other scripts, too.
            plain = not isinstance(value, str) or (value.isascii() and value[:1].isdigit())
            number = Decimal(value) if plain and "_" not in str(value) else Decimal("NaN")
        except (InvalidOperation, ValueError):
            number = Decimal("NaN")
        if not (
            number.is_finite()
            and not number.is_signed()
            and number.adjusted() < self._whole_digits
            and -int(number.as_tuple().exponent) <= MOST_DECIMALS
        ):
            raise ValidationError(
                f"must be a number from 0, with at most {self._whole_digits} digits before the"
                f" point and {MOST_DECIMALS} behind it"
            )
        return Decimal(format(number, "f"))


MOST_DECIMALS = 12
FARE_DIGITS = 30
"""Far over any MAX_AMOUNT: what is over that has an answer of its own."""
PART_DIGITS = 12


class Id(fields.Field[int]):
    """An id that the database can hold. true and false are refused: to Python they are integers."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> int:
        if type(value) is not int or not 0 < value < 2**63:
            raise ValidationError(f"must be an integer from 1 to {2**63 - 1}")
        return value


class Said(Schema):
    """What a trip service says of a trip, as far as it matters here."""

    class Meta:
        unknown = EXCLUDE

    trip_id = Id(allow_none=True, load_default=None)
    rider_id = Id(allow_none=True, load_default=None)
    driver_id = Id(allow_none=True, load_default=None)
    status = Text(required=True, validate=validate.Length(min=1, error="must not be empty"))
    currency = Text(allow_none=True, load_default=None)
    pickup_zone = Text(allow_none=True, load_default=None)
    drop_zone = Text(allow_none=True, load_default=None)
    distance_km = Number(whole_digits=PART_DIGITS)
    base_fare = Number(whole_digits=PART_DIGITS)
    surge_multiplier = Number(whole_digits=PART_DIGITS)
    total_fare = Number(whole_digits=FARE_DIGITS)


_SAID = Said()


def ask(*, trip_id: int, currency: str | None) -> Trip:
    """The COMPLETED trip with its fare. The trip's own currency decides over `currency`.

    Raises TripNotFound, TripNotCompleted, TripServiceUnavailable (also for an answer that can't
    be read; it names the field), InvalidRequest where the fare can't be told. The fare may be of
    any size.
    """
    try:
        said = _SAID.load(fetch(trip_id))
        if said["trip_id"] not in (None, trip_id):
            raise ValidationError("is another trip's", "trip_id")
        status = said["status"].upper()
        if status != COMPLETED:
            raise TripNotCompleted(
                f"trip {trip_id} is {status}; only a COMPLETED trip can be charged",
                trip_id=trip_id,
                trip_status=status,
            )
        zones = {name: said[name] for name in ("pickup_zone", "drop_zone") if said[name]}
        fare = _fare(said, currency, settings())
    except ValidationError as error:
        faults: dict[str, list[str]] = error.normalized_messages()  # type: ignore[no-untyped-call]
        wrong = "; ".join(f"{name} {' and '.join(what)}" for name, what in faults.items())
        raise _unavailable(
            f"the trip service's answer about trip {trip_id} can't be read: {wrong}"
        ) from error
    return Trip(trip_id, said["rider_id"], said["driver_id"], fare, zones)


def fetch(trip_id: int) -> dict[str, Any]:
    """The trip service's object, unread. Raises TripNotFound, TripServiceUnavailable."""
    with traces.inside("trip service"):
        return _fetched(trip_id)


def _fetched(trip_id: int) -> dict[str, Any]:
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


def _fare(said: dict[str, Any], currency: str | None, chosen: Settings) -> Fare:
    code = (said["currency"] or currency or chosen.default_currency).upper()
    if code not in money.EXPONENTS:
        raise ValidationError("must be an ISO 4217 code of money in use", "currency")
    distance, surge, total = said["distance_km"], said["surge_multiplier"], said["total_fare"]
    if total is None:
        return _computed(code, distance, surge, chosen)
    try:
        minor = money.exact_minor(total, code)
    except money.BadAmount as error:
        raise ValidationError(str(error), "total_fare") from error
    return Fare(minor, code, distance, said["base_fare"], None, surge)


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
