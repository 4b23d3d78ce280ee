"""Writes seeds/trips.csv and seeds/payments.csv: a demo's trips, and the history of their payments.

Usage: python scripts/make_seeds.py [FOLDER]

The seed is fixed, so that the same bytes come out every time. Zones are invented. Trip 32 is the
one that the documentation charges: COMPLETED and not paid.
"""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

TRIPS = 370
PAYMENTS = 350
UNPAID_COMPLETED = 24
"""COMPLETED trips that a demo can charge, beside those whose payment failed."""

ZONES = (
    "Old Harbour",
    "Lantern Hill",
    "Mill Quarter",
    "Northgate",
    "Saltmarsh",
    "Orchard Row",
    "Tram Depot",
    "Upper Lakes",
)
STATUSES = ("COMPLETED", "CANCELLED", "ONGOING", "ACCEPTED", "REQUESTED")
METHODS = ("CARD", "CASH", "UPI", "WALLET")
SURGES = (Decimal("1.0"), Decimal("1.2"), Decimal("1.5"))
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CENT = Decimal("0.01")

# 87.38 x 1.2 = 104.856: the trip of the documentation's examples.
DEMO_TRIP = 32
DEMO = {
    "rider_id": 101,
    "driver_id": 201,
    "status": "COMPLETED",
    "distance_km": Decimal("7.28"),
    "base_fare": Decimal("87.38"),
    "surge_multiplier": Decimal("1.2"),
}
PAID_TRIP = 7
"""Always COMPLETED and paid: charging it again is refused."""

Row = dict[str, Any]


def trips(draw: random.Random) -> list[Row]:
    rows = []
    at = datetime(2025, 1, 1, 5, 30)  # noqa: DTZ001 (the file's times are local)
    for trip_id in range(1, TRIPS + 1):
        at += timedelta(minutes=draw.randint(20, 2400), seconds=draw.randrange(60))
        distance = Decimal(draw.randint(100, 1200)) / 100
        row = {
            "trip_id": trip_id,
            "rider_id": draw.randint(1, 100),
            "driver_id": draw.randint(1, 80),
            "pickup_zone": draw.choice(ZONES),
            "drop_zone": draw.choice(ZONES),
            "status": draw.choices(STATUSES, (30, 20, 19, 17, 14))[0],
            "requested_at": at,
            "distance_km": distance,
            "base_fare": rounded(distance * draw.randint(1200, 1750) / 100),
            "surge_multiplier": draw.choice(SURGES),
        }
        if trip_id == DEMO_TRIP:
            row |= DEMO
        if trip_id == PAID_TRIP:
            row["status"] = "COMPLETED"
        row["total_fare"] = rounded(row["base_fare"] * row["surge_multiplier"])
        rows.append(row)
    return rows


def rounded(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def payments(draw: random.Random, of_trips: list[Row]) -> list[Row]:
    """One payment for most trips. SUCCESS is for COMPLETED trips only; 20 trips have none."""
    completed = [row["trip_id"] for row in of_trips if row["status"] == "COMPLETED"]
    unpaid = {DEMO_TRIP, *draw.sample([t for t in completed if t != PAID_TRIP], UNPAID_COMPLETED)}
    others = [row["trip_id"] for row in of_trips if row["trip_id"] not in (DEMO_TRIP, PAID_TRIP)]
    without = {DEMO_TRIP, *draw.sample(others, TRIPS - PAYMENTS - 1)}
    rows = []
    for trip in of_trips:
        if trip["trip_id"] in without:
            continue
        paid = trip["status"] == "COMPLETED" and trip["trip_id"] not in unpaid
        rows.append(
            {
                "payment_id": len(rows) + 1,
                "trip_id": trip["trip_id"],
                "amount": trip["total_fare"],
                "method": draw.choice(METHODS),
                "status": "SUCCESS" if paid else draw.choice(("PENDING", "FAILED")),
                "reference": f"HIS{trip['requested_at']:%Y%m%d}-"
                + "".join(draw.choices(ALPHABET, k=6)),
                "created_at": trip["requested_at"] + timedelta(seconds=draw.randint(300, 2700)),
            }
        )
    return rows


def written(value: Any) -> str:
    """Amounts drop a last 0 now and then, as exports do: 85.80 is written 85.8."""
    text = str(value)
    return text.removesuffix("0") if isinstance(value, Decimal) and text[-3:-2] == "." else text


def write(path: Path, rows: Iterable[Row]) -> None:
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([written(value) for value in row.values()] for row in rows)


def main(folder: Path) -> None:
    draw = random.Random(20250101)
    all_trips = trips(draw)
    write(folder / "trips.csv", all_trips)
    write(folder / "payments.csv", payments(draw, all_trips))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "seeds")
