"""The project's own seeds: generated, loadable, and fit for the demo."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from payment_service.seeding import SeedError, load_catalog, seed_demo_if_empty
from tests.histories import MOST, connected, counts, execute, payments, query, totals_agree

ROOT = Path(__file__).resolve().parents[1]
SEEDS = ROOT / "seeds"
CATALOG_HEADER = "country_code,currency,payment_method,provider_name,is_active"


@pytest.fixture
def engine(fresh_database: str) -> Iterator[Engine]:
    with connected(fresh_database) as engine:
        yield engine


def loaded(engine: Engine, path: Path = SEEDS / "providers.csv") -> int:
    """The catalog, with its number of offers told once if there are any to be added."""
    told: list[int] = []
    added = load_catalog(engine, path=path, written_down=lambda _, count: told.append(count))
    assert told == [added] * bool(added)
    return added


def table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((SEEDS / name).read_text().splitlines()))


def test_the_generator_gives_the_same_bytes(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "make_seeds.py"
    subprocess.run([sys.executable, script, tmp_path], check=True)
    for name in ("trips.csv", "payments.csv"):
        assert (tmp_path / name).read_bytes() == (SEEDS / name).read_bytes()


def test_fares_are_base_times_surge_and_payments_are_fares() -> None:
    trips = {row["trip_id"]: row for row in table("trips.csv")}
    for trip in trips.values():
        fare = Decimal(trip["base_fare"]) * Decimal(trip["surge_multiplier"])
        assert Decimal(trip["total_fare"]) == fare.quantize(Decimal("0.01"), ROUND_HALF_UP)
    history = table("payments.csv")
    assert 300 <= len(history) <= 400
    for payment in history:
        trip = trips[payment["trip_id"]]
        assert payment["amount"] == trip["total_fare"]
        assert payment["status"] != "SUCCESS" or trip["status"] == "COMPLETED"
        assert payment["created_at"] > trip["requested_at"]
    assert {row["status"] for row in history} == {"PENDING", "FAILED", "SUCCESS"}
    assert {row["method"] for row in history} == {"CARD", "CASH", "UPI", "WALLET"}
    assert any(row["amount"][-2] == "." for row in history)
    assert {row["status"] for row in trips.values()} == {
        *("COMPLETED", "CANCELLED", "ONGOING", "ACCEPTED", "REQUESTED")
    }


def test_a_demo_finds_trips_to_charge() -> None:
    trips = {row["trip_id"]: row for row in table("trips.csv")}
    completed = {number for number, trip in trips.items() if trip["status"] == "COMPLETED"}
    paid = {row["trip_id"] for row in table("payments.csv") if row["status"] == "SUCCESS"}
    assert len(completed - paid) >= 20
    assert "32" in completed - paid
    assert "7" in paid
    demo = [trips["32"][name] for name in ("rider_id", "driver_id", "total_fare")]
    assert demo == ["101", "201", "104.86"]


def test_the_demo_is_loaded_into_an_empty_database_only(engine: Engine) -> None:
    path = SEEDS / "payments.csv"
    report = seed_demo_if_empty(engine, path=path, currency="INR", max_amount=MOST, timezone="UTC")
    assert report is not None
    rows = len(table("payments.csv"))
    assert counts(report) == (rows, rows, 0, 0)
    assert report.warnings() == []
    totals_agree(engine)
    execute(engine, "DELETE FROM payments WHERE payment_id > 1")
    assert (
        seed_demo_if_empty(engine, path=path, currency="INR", max_amount=MOST, timezone="UTC")
        is None
    )
    assert len(payments(engine)) == 1


def version(engine: Engine) -> int:
    return int(query(engine, "SELECT version FROM catalog_version")[0]["version"])


def offers(engine: Engine) -> list[str]:
    return [
        ",".join(str(value).replace("True", "true") for value in row.values())
        for row in query(
            engine,
            "SELECT country_code, currency, payment_method, provider_name, is_active"
            " FROM provider_offers ORDER BY position",
        )
    ]


def test_the_catalog_is_loaded_in_its_order(engine: Engine) -> None:
    before = version(engine)
    lines = (SEEDS / "providers.csv").read_text().splitlines()
    assert loaded(engine) == len(lines) - 1 == 52
    assert [CATALOG_HEADER, *offers(engine)] == lines
    assert version(engine) > before


def test_loading_the_catalog_again_keeps_what_operators_edited(engine: Engine) -> None:
    loaded(engine)
    execute(
        engine, "UPDATE provider_offers SET is_active = false, position = 99 WHERE currency = 'SEK'"
    )
    execute(engine, "DELETE FROM provider_offers WHERE currency = 'INR'")
    before = version(engine)
    assert loaded(engine) == 4
    after = version(engine)
    assert after > before
    swedish = query(
        engine,
        "SELECT is_active, position FROM provider_offers WHERE currency = 'SEK'",
    )
    assert swedish == [{"is_active": False, "position": 99}] * 2
    assert loaded(engine) == 0
    assert version(engine) == after


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the header must name country_code"),
        (b"country_code,currency\n", "the header must name"),
        (b"SE,SEK,CARD\n", "line 2: must have 5 columns"),
        (b"SE,SEK,CARD,Stripe,true,x\n", "line 2: must have 5 columns"),
        (b"SE,SEK,CARD,Stripe,maybe\n", "line 2: must have 5 columns"),
        (b"SE,SEK,CARD,Stripe,true\nse,SEK,CARD,Stripe,true\n", "line 3: 'se' is no country"),
        (b"SE,XXX,CARD,Stripe,true\n", "line 2: 'XXX' is no currency"),
        (b"SE,SEK,BARTER,Stripe,true\n", "line 2: 'BARTER' is none of CARD"),
        (b"SE,SEK,CARD,Stripe\xe9,true\n", "not readable as CSV in UTF-8"),
    ],
)
def test_a_bad_catalog_is_refused_whole(
    engine: Engine, tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "providers.csv"
    has_header = not content or content.startswith(b"country")
    path.write_bytes(content if has_header else CATALOG_HEADER.encode() + b"\n" + content)
    with pytest.raises(SeedError, match=said) as caught:
        loaded(engine, path)
    assert "\n" not in str(caught.value)
    assert offers(engine) == []
