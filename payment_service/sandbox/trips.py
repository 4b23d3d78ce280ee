"""The trip service's trips, as JSON fragments so that numbers stay as they were written."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

Trip = dict[str, str]

NUMBERS = {
    "trip_id",
    "rider_id",
    "driver_id",
    "distance_km",
    "base_fare",
    "surge_multiplier",
    "total_fare",
}
FIELDS = (
    *("trip_id", "rider_id", "driver_id", "pickup_zone", "drop_zone", "status", "requested_at"),
    *("distance_km", "base_fare", "surge_multiplier", "total_fare"),
)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


def load(path: Path) -> dict[str, Trip]:
    """Trips by id from a CSV file with a header; the id may be headed `id`. Raises OSError
    for a file that can't be read, ValueError for one that is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return _keyed(csv.DictReader(lines))
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _keyed(rows: Iterable[Mapping[str, str | None]]) -> dict[str, Trip]:
    trips = {}
    for row in rows:
        cells = {str(name).strip(): (cell or "").strip() for name, cell in row.items() if name}
        trip_id = cells.pop("id", "") or cells.pop("trip_id", "")
        if not trip_id:
            raise ValueError("no trip_id or id in a row")
        trips[trip_id] = changed(trip_id, {}, cells)
    return trips


def changed(trip_id: str, trip: Trip, changes: Mapping[str, Any]) -> Trip:
    """A trip with some fields put in or replaced; the id stays, all known fields are there."""
    merged = dict.fromkeys(FIELDS, "null") | trip
    merged |= {name: _fragment(name, value) for name, value in changes.items()}
    return merged | {"trip_id": _fragment("trip_id", trip_id)}


def _fragment(name: str, value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if value == "":
        return "null"
    if name in NUMBERS and isinstance(value, str) and _NUMBER.fullmatch(value):
        return value
    return json.dumps(value)


def as_json(trip: Trip) -> str:
    """The trip as a JSON object; 85.80 stays 85.80, which no float could promise."""
    members = (f"{json.dumps(name)}: {fragment}" for name, fragment in trip.items())
    return "{" + ", ".join(members) + "}"
