"""The import of payment history: what goes in comes out, or is reported with its line."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from payment_service.seeding import BadRows, import_payments
from payment_service.seeding.casting import LARGEST_PAYMENT_ID
from tests.histories import (
    HEADER,
    MOST,
    Load,
    a_row,
    counts,
    everything,
    next_id,
    payments,
    query,
    totals_agree,
)

PUBLIC = Path(__file__).resolve().parents[2] / "shared" / "data" / "rhfd_payments.csv"


def test_the_public_data_set_comes_in_once(engine: Engine) -> None:
    if not PUBLIC.exists():
        pytest.skip("the public data set is not beside the checkout (../shared/data)")
    first = import_payments(engine, path=PUBLIC, currency="INR", max_amount=MOST, timezone="UTC")
    assert counts(first) == (350, 350, 0, 0)
    assert first.crowded_trips == ()
    assert query(engine, "SELECT sum(amount), max(payment_id) FROM payments") == [
        {"sum": 3744405, "max": 350}
    ]
    assert query(engine, "SELECT status, count(*) FROM payments GROUP BY 1 ORDER BY 1") == [
        {"status": "FAILED", "count": 145},
        {"status": "PENDING", "count": 134},
        {"status": "SUCCESS", "count": 71},
    ]
    totals_agree(engine)
    before = everything(engine)
    second = import_payments(engine, path=PUBLIC, currency="INR", max_amount=MOST, timezone="UTC")
    assert counts(second) == (350, 0, 350, 0)
    assert everything(engine) == before
    assert next_id(engine) == 351


@pytest.mark.parametrize(
    ("written", "status", "captured", "refunded", "done"),
    [
        ("PENDING", "PENDING", 0, 0, False),
        ("SUCCESS", "SUCCESS", 8580, 0, True),
        ("completed", "SUCCESS", 8580, 0, True),
        ("Failed", "FAILED", 0, 0, True),
        ("CANCELLED", "CANCELLED", 0, 0, True),
        ("REFUNDED", "REFUNDED", 8580, 8580, True),
    ],
)
def test_what_a_row_becomes(
    engine: Engine,
    load: Load,
    written: str,
    status: str,
    captured: int,
    refunded: int,
    done: bool,
) -> None:
    load(a_row(5, trip_id=9, amount="85.8", method="credit_card", status=written))
    at = datetime(2024, 1, 31, 10, 11, 12, tzinfo=UTC)
    (row,) = payments(engine).values()
    kept = {name: value for name, value in row.items() if value is not None}
    assert kept == {
        "payment_id": 5,
        "trip_id": 9,
        "purpose": "FARE",
        "share": 0,
        "amount": 8580,
        "currency": "INR",
        "authorized": captured,
        "captured": captured,
        "refunded": refunded,
        "refund_pending": 0,
        "method": "CARD",
        "provider": "import",
        "status": status,
        "live": status not in ("FAILED", "CANCELLED"),
        "reference": "HIS-5",
        "caller": "import",
        "imported": True,
        "metadata": {},
        "version": 1,
        "created_at": at,
        "updated_at": at,
    } | ({} if status == "SUCCESS" else {"rare_status": status}) | (
        {"completed_at": at} if done else {}
    ) | ({"captured_at": at} if captured else {})
    refunds = query(engine, "SELECT * FROM refunds")
    assert [(r["amount"], r["status"], r["reason"], r["completed_at"]) for r in refunds] == (
        [(8580, "SUCCESS", "imported", at)] if refunded else []
    )
    for table in ("events", "transactions", "deliveries"):
        assert query(engine, f"SELECT * FROM {table}") == []
    totals_agree(engine)


SAME = [a_row(1), a_row(2, trip_id="", amount="7"), a_row(3, status="PENDING")]
SHAPES = {
    "plain": (HEADER + "\n" + "\n".join(SAME) + "\n").encode(),
    "no last line end": (HEADER + "\n" + "\n".join(SAME)).encode(),
    "byte order mark": b"\xef\xbb\xbf" + (HEADER + "\n" + "\n".join(SAME)).encode(),
    "CRLF": (HEADER + "\r\n" + "\r\n".join(SAME) + "\r\n").encode(),
    "blank lines": (HEADER + "\n\n" + "\n\n  \n".join(SAME) + "\n\n\r\n").encode(),
    "quoted": "\n".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) for line in (HEADER, *SAME)
    ).encode(),
    "spaces": "\n".join(
        ",".join(cell if "HIS" in cell else f" {cell}  " for cell in line.split(","))
        for line in (HEADER, *SAME)
    ).encode(),
    "other order, other case, id": "\n".join(
        ",".join(reversed(line.split(",")))
        for line in (HEADER.replace("payment_id", "Id").upper(), *SAME)
    ).encode(),
    "more columns": "\n".join(
        f"note,{line},{end}"
        for line, end in zip((HEADER, *SAME), ("note", "ä", '"a,b"', ""), strict=True)
    ).encode(),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_rows_however_they_are_written(engine: Engine, load: Load, shape: str) -> None:
    report = load(SHAPES[shape])
    assert counts(report) == (3, 3, 0, 0)
    assert bool(report.ignored_columns) == (shape == "more columns")
    told = [
        (row["payment_id"], row["trip_id"], row["amount"], row["status"], row["reference"])
        for row in payments(engine).values()
    ]
    assert told == [
        (1, 1, 8580, "SUCCESS", "HIS-1"),
        (2, None, 700, "SUCCESS", "HIS-2"),
        (3, 3, 8580, "PENDING", "HIS-3"),
    ]


def test_a_header_and_no_rows_is_fine(engine: Engine, load: Load) -> None:
    assert counts(load()) == (0, 0, 0, 0)
    assert counts(load(HEADER.encode())) == (0, 0, 0, 0)
    assert next_id(engine) == 1


def test_a_file_may_come_through_a_pipe(engine: Engine, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = HEADER + "\n" + "\n".join(a_row(n) for n in range(1, 3001)) + "\n"
    writer = threading.Thread(target=pipe.write_text, args=(content,))
    writer.start()
    report = import_payments(engine, path=pipe, currency="INR", max_amount=MOST, timezone="UTC")
    writer.join()
    assert counts(report) == (3000, 3000, 0, 0)


@pytest.mark.parametrize(
    ("written", "zone", "meant"),
    [
        ("2024-01-31", "UTC", "2024-01-31 00:00:00"),
        ("2024-02-29 23:59", "UTC", "2024-02-29 23:59:00"),
        ("2000-02-29T00:00:00", "UTC", "2000-02-29 00:00:00"),
        ("2024-12-31t10:11:12.345678z", "Asia/Kolkata", "2024-12-31 10:11:12.345678"),
        ("2024-01-31 10:11:12", "Asia/Kolkata", "2024-01-31 04:41:12"),
        ("2024-07-01 12:00:00", "Europe/Stockholm", "2024-07-01 10:00:00"),
        ("2024-01-31T10:11:12+05:30", "UTC", "2024-01-31 04:41:12"),
        ("2024-01-31 10:11:12-0800", "Asia/Kolkata", "2024-01-31 18:11:12"),
        ("2024-01-31 10:11:12 +02", "UTC", "2024-01-31 08:11:12"),
        ("2024-01-31 10:11:12 UTC", "Asia/Kolkata", "2024-01-31 10:11:12"),
        ("2024-01-31 10:11:12+16:00", "UTC", "2024-01-30 18:11:12"),
    ],
)
def test_iso_times(engine: Engine, load: Load, written: str, zone: str, meant: str) -> None:
    load(a_row(1, created_at=written), timezone=zone)
    assert payments(engine)[1]["created_at"] == datetime.fromisoformat(meant).replace(tzinfo=UTC)


def test_other_times(engine: Engine, load: Load) -> None:
    written = ("9/6/2023 4:07", "12/31/2024 23:59", "2/29/2024 00:00")
    lines = [a_row(n, created_at=at) for n, at in enumerate(written, start=1)]
    load(*lines, date_format="%m/%d/%Y %H:%M", timezone="Asia/Kolkata")
    meant = ("2023-09-06T04:07+05:30", "2024-12-31T23:59+05:30", "2024-02-29T00:00+05:30")
    assert [row["created_at"] for row in payments(engine).values()] == [
        datetime.fromisoformat(at) for at in meant
    ]
    for wrong in ("2/30/2024 10:00", "2/29/2023 10:00", "13/1/2024 10:00", "2024-01-01 10:00"):
        with pytest.raises(BadRows, match="is no date of the form %m/%d/%Y %H:%M"):
            load(a_row(9, created_at=wrong), date_format="%m/%d/%Y %H:%M")
    load(a_row(7, created_at='"Jan 5, 2024 1:00 PM +0100"'), date_format="%b %d, %Y %I:%M %p %z")
    assert payments(engine)[7]["created_at"] == datetime(2024, 1, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("currency", "amount", "minor", "too_fine"),
    [("JPY", "86", 86, "86.0"), ("KWD", "85.805", 85805, "1.0000"), ("KWD", "7.5", 7500, "x")],
)
def test_other_currencies(
    engine: Engine,
    load: Load,
    currency: str,
    amount: str,
    minor: int,
    too_fine: str,
) -> None:
    load(a_row(1, amount=amount), currency=currency)
    assert (payments(engine)[1]["amount"], payments(engine)[1]["currency"]) == (minor, currency)
    with pytest.raises(BadRows, match="line 2: amount"):
        load(a_row(2, amount=too_fine), currency=currency)


def test_large_ids_are_kept_and_the_identity_only_moves_forward(engine: Engine, load: Load) -> None:
    load(a_row(40))
    assert next_id(engine) == 41
    load(a_row(12))
    assert next_id(engine) == 42
    load(a_row(90_000, trip_id=2**63 - 1))
    assert next_id(engine) == 90_001
    load(a_row(LARGEST_PAYMENT_ID))
    assert next_id(engine) == LARGEST_PAYMENT_ID + 1
    assert payments(engine)[90_000]["trip_id"] == 2**63 - 1


def test_ids_drawn_during_an_import_stay_unique(engine: Engine, load: Load) -> None:
    drawn: list[int] = []
    done = threading.Event()

    def draw() -> None:
        while not done.is_set():
            drawn.append(next_id(engine))

    drawing = threading.Thread(target=draw)
    drawing.start()
    try:
        for number in range(1, 6):
            load(a_row(number * 400))
    finally:
        done.set()
        drawing.join()
    assert len(drawn) == len(set(drawn))
    assert next_id(engine) > max(*drawn, 2000)


def test_the_sum_of_a_large_file_is_exact(engine: Engine, load: Load) -> None:
    """Enough rows for several blocks, with one odd line amid them."""
    lines = [a_row(n, amount=f"{n % 977 + 1}.{n % 100:02}") for n in range(1, 40_001)]
    lines[25_000] = lines[25_000].replace("HIS-25001", '"HIS, 25001"')
    report = load(*lines)
    assert counts(report) == (40_000, 40_000, 0, 0)
    expected = sum(Decimal(f"{n % 977 + 1}.{n % 100:02}") for n in range(1, 40_001))
    assert query(engine, "SELECT sum(amount) FROM payments") == [{"sum": int(expected * 100)}]
    analyzed = query(engine, "SELECT reltuples FROM pg_class WHERE relname = 'payments'")
    assert analyzed == [{"reltuples": 40_000}]
    totals_agree(engine)
