"""Files and rows that can't be loaded: each is named, and nothing of it comes in."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from payment_service.seeding import BadRows, SeedError, import_payments
from payment_service.seeding.casting import LARGEST_PAYMENT_ID
from payment_service.seeding.checking import MOST_LIVE
from tests.histories import (
    HEADER,
    MOST,
    Load,
    a_row,
    counts,
    everything,
    payments,
    query,
    totals_agree,
)

BAD = [
    (a_row(5, payment_id=""), "payment_id is missing"),
    (a_row(5, payment_id=0), 'payment_id "0" is no whole number'),
    (a_row(5, payment_id=-5), "payment_id"),
    (a_row(5, payment_id="5.0"), "payment_id"),
    (a_row(5, payment_id="0x5"), "payment_id"),
    (a_row(5, payment_id=2**63), "payment_id"),
    (a_row(5, payment_id=LARGEST_PAYMENT_ID + 1), "payment_id"),
    (a_row(5, payment_id="9" * 300), "payment_id"),
    (a_row(5, trip_id=0), "trip_id"),
    (a_row(5, trip_id="x"), 'trip_id "x"'),
    (a_row(5, trip_id=2**63), "trip_id"),
    (a_row(5, amount=""), "amount is missing"),
    (a_row(5, amount="0.00"), "more than 0"),
    (a_row(5, amount="-1"), 'amount "-1"'),
    (a_row(5, amount="+1"), "amount"),
    (a_row(5, amount="1e2"), "amount"),
    (a_row(5, amount="NaN"), "amount"),
    (a_row(5, amount="infinity"), "amount"),
    (a_row(5, amount="1_000"), "amount"),
    (a_row(5, amount="٣"), "amount"),
    (a_row(5, amount="."), "amount"),
    (a_row(5, amount="5."), "amount"),
    (a_row(5, amount="85.805"), "more than 2 decimals"),
    (a_row(5, amount="85.800"), "more than 2 decimals"),
    (a_row(5, amount="9" * 16), "is over MAX_AMOUNT, 1000000000000"),
    (a_row(5, amount="1000000000000.01"), "is over MAX_AMOUNT"),
    (a_row(5, amount='"1,000.00"'), 'amount "1,000.00"'),
    (a_row(5, method="BARTER"), 'method "BARTER" is none of CARD'),
    (a_row(5, method=""), "method is missing"),
    (a_row(5, status="PROCESSING"), 'status "PROCESSING" is none of PENDING'),
    (a_row(5, status=""), "status is missing"),
    (a_row(5, reference=""), "reference is missing"),
    (a_row(5, reference="  "), "reference is missing"),
    (a_row(5, reference="x" * 101), "longer than 100"),
    (a_row(5, created_at=""), "created_at is missing"),
    (a_row(5, created_at="yesterday"), 'created_at "yesterday"'),
    (a_row(5, created_at="now"), "created_at"),
    (a_row(5, created_at="2024-02-30 10:00:00"), "created_at"),
    (a_row(5, created_at="2023-02-29"), "created_at"),
    (a_row(5, created_at="2100-02-29"), "created_at"),
    (a_row(5, created_at="2024-04-31T00:00:00Z"), "created_at"),
    (a_row(5, created_at="2024-13-01 10:00:00"), "created_at"),
    (a_row(5, created_at="2024-01-01 24:00:00"), "created_at"),
    (a_row(5, created_at="2024-01-01 23:59:60"), "created_at"),
    (a_row(5, created_at="01/02/2024 10:00"), "created_at"),
    (a_row(5, created_at="0000-01-01 00:00:00"), "created_at"),
    (a_row(5, created_at="9999-12-31 00:00:00"), "created_at"),
    (a_row(5, created_at="2024-01-01x10:00:00"), "created_at"),
    (a_row(5, created_at="2024-W05-1"), "created_at"),
    (a_row(5, created_at="2024-01-01 10:00:00+24:00"), "created_at"),
    (a_row(5, created_at="-"), 'created_at "-" is no ISO 8601'),
    (a_row(5) + ",more", "8 columns where the header has 7"),
    ("5,5,85.80", "3 columns where the header has 7"),
    (a_row(5, reference="a\0b"), "NUL"),
    (a_row(5, reference='"never closed'), "not readable as CSV"),
    (a_row(5, reference='"a"b'), "not readable as CSV"),
    (a_row(5, payment_id=1), "payment_id 1 is used on line 2 already"),
    (a_row(5, reference="HIS-1"), "reference HIS-1 is used on line 2 already"),
]


def test_an_amount_over_the_ceiling_is_a_bad_row(engine: Engine, load: Load) -> None:
    rows = a_row(1, amount="100.00"), a_row(2, amount="100.01"), a_row(3, amount="99999999999")
    report = load(*rows, max_amount=Decimal(100), skip_bad=True)
    assert counts(report) == (3, 1, 0, 2)
    assert all("is over MAX_AMOUNT, 100" in row.reason for row in report.bad_rows)
    assert list(payments(engine)) == [1]


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_a_bad_row_is_named_and_kept(
    engine: Engine, load: Load, tmp_path: Path, line: str, reason: str
) -> None:
    """By default nothing is loaded then; with skip_bad the others are."""
    before = everything(engine)
    with pytest.raises(BadRows) as caught:
        load(a_row(1), a_row(2), line, a_row(3))
    assert caught.value.count == 1
    assert caught.value.shown[0].line == 4
    assert reason in caught.value.shown[0].reason
    assert "line 4: " + caught.value.shown[0].reason in str(caught.value)
    assert everything(engine) == before

    report = load(a_row(1), a_row(2), line, a_row(3), skip_bad=True)
    assert counts(report) == (4, 3, 0, 1)
    assert list(payments(engine)) == [1, 2, 3]
    assert report.bad_rows_path == tmp_path / "history.bad.csv"
    (kept,) = csv.DictReader(report.bad_rows_path.read_text(encoding="utf-8").splitlines())
    assert kept["line"] == "4"
    assert reason in kept["reason"]
    for cell in next(csv.reader([line.replace("\0", r"\x00").replace('"', "")])):
        assert cell in ",".join(kept.values()).replace('"', "")
    totals_agree(engine)


def test_bad_rows_can_be_mended_and_fed_in_again(
    engine: Engine, load: Load, tmp_path: Path
) -> None:
    header = f"{HEADER},note"
    options = {"header": header, "date_format": "%d.%m.%y %H:%M", "bad_rows_path": tmp_path / "b"}
    good, bad = "1.2.24 9:05", "2024-02-01 09:05"
    lines = [
        *(a_row(1, created_at=good) + ",x", a_row(2, created_at=bad) + ",y"),
        *(a_row(3, created_at=good, amount="x") + ",z",),
    ]
    report = load(*lines, skip_bad=True, **options)
    assert counts(report) == (3, 1, 0, 2)
    assert report.ignored_columns == ("note",)
    mended = (tmp_path / "b").read_text().replace(bad, good).replace(",x,", ",85.80,")
    report = load(mended.encode(), date_format="%d.%m.%y %H:%M")
    assert counts(report) == (2, 2, 0, 0)
    assert report.ignored_columns == ("note",)
    assert {row["created_at"] for row in payments(engine).values()} == {
        datetime(2024, 2, 1, 9, 5, tzinfo=UTC)
    }


def test_bytes_that_are_no_utf_8_are_named_by_line(engine: Engine, load: Load) -> None:
    text = "\n".join([HEADER, a_row(1, reference="Zürich"), a_row(2), a_row(3, reference="Malmö")])
    with pytest.raises(BadRows) as caught:
        load(text.encode("latin-1"))
    assert [(row.line, row.reason) for row in caught.value.shown] == [
        (2, "not UTF-8"),
        (4, "not UTF-8"),
    ]
    report = load(text.encode("latin-1"), skip_bad=True)
    assert counts(report) == (3, 1, 0, 2)
    assert report.bad_rows_path is not None
    assert r"Z\xfcrich" in report.bad_rows_path.read_text()
    assert load(text.encode()).loaded == 2


def test_only_the_first_bad_rows_are_printed(load: Load) -> None:
    with pytest.raises(BadRows) as caught:
        load(*(a_row(n, amount="x", status="y") for n in range(1, 61)))
    text = str(caught.value)
    assert "60 bad rows" in text and "and 40 more" in text
    assert text.count("line ") == 20
    assert 'line 2: amount "x" is no plain decimal' in text and 'status "y"' in text


def test_a_record_is_named_by_the_line_it_starts_on(engine: Engine, load: Load) -> None:
    header = f"note,{HEADER}"
    lines = [
        '"two\nlines",' + a_row(1),
        '"three\r\n\nlines",' + a_row(2, amount="x"),
        "one," + a_row(3, amount="x"),
        "one," + a_row(4, reference='"with\nline end, comma, ""quote"" and \\."'),
        "one," + a_row(5, amount="x"),
    ]
    report = load(*lines, header=header, skip_bad=True)
    assert counts(report) == (5, 2, 0, 3)
    assert [row.line for row in report.bad_rows] == [4, 7, 10]
    assert payments(engine)[4]["reference"] == 'with\nline end, comma, "quote" and \\.'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\n\n  \n", "is empty"),
        (HEADER.replace(",amount", "").encode() + b"\n", "no column amount"),
        (
            b"id,payment_id" + HEADER.removeprefix("payment_id").encode(),
            "payment_id more than once",
        ),
        (HEADER.encode("utf-16"), "line 1: the header is not readable"),
        (a_row(1).encode(), "no column payment_id, trip_id"),
        (HEADER.replace(",", ";").encode(), "no column"),
        (HEADER.encode() + b"\n" + b"x" * (3 << 20), "no CSV of payments"),
    ],
)
def test_a_file_that_is_no_history(engine: Engine, load: Load, content: bytes, said: str) -> None:
    with pytest.raises(SeedError, match=said) as caught:
        load(content, skip_bad=True)
    assert str(caught.value).count("\n") == 0
    assert "history.csv: " in str(caught.value)
    assert payments(engine) == {}


def test_paths_that_are_no_file(engine: Engine, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.csv", tmp_path / "missing" / "x.csv"):
        with pytest.raises(SeedError) as caught:
            import_payments(engine, path=path, currency="INR", max_amount=MOST, timezone="UTC")
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def test_what_the_caller_got_wrong(engine: Engine, load: Load) -> None:
    for options, said in (
        ({"currency": "XXX"}, "no currency"),
        ({"timezone": "Mars/Olympus"}, "no IANA time zone"),
        ({"date_format": "%Q"}, "'Q' is a bad directive"),
        ({"date_format": "%H:%M"}, "year, month and day"),
        ({"date_format": "%Y-%m-%d %Z"}, "%Z"),
        ({"skip_bad": True, "bad_rows_path": Path("/nowhere/x")}, "/nowhere/x: No such file"),
    ):
        with pytest.raises(SeedError, match=said):
            load(a_row(1), "x", **options)
        assert payments(engine) == {}


def test_bad_rows_never_overwrite_their_source(engine: Engine, load: Load, tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="written over"):
        load(a_row(1), "x", skip_bad=True, bad_rows_path=tmp_path / "history.csv")
    assert a_row(1) in (tmp_path / "history.csv").read_text()


@pytest.mark.slow
def test_more_live_payments_of_one_trip_than_can_be_told_apart(
    engine: Engine, load: Load, tmp_path: Path
) -> None:
    dead = [a_row(n, trip_id=7, status="FAILED") for n in range(1, 4)]
    first = [a_row(n, trip_id=7, status="PENDING") for n in range(10, 13)]
    assert counts(load(*dead, *first)) == (6, 6, 0, 0)
    left = MOST_LIVE - len(first)
    crowd = [a_row(n, trip_id=7, amount="1.00") for n in range(100, 100 + left)]
    others = [a_row(10**6, trip_id=8), a_row(10**6 + 1, trip_id=7, status="CANCELLED")]
    late = [a_row(2 * 10**6, trip_id=7), a_row(2 * 10**6 + 1, trip_id=7, status="REFUNDED")]
    before = everything(engine)
    with pytest.raises(BadRows) as refused:
        load(*crowd, *others, *late)
    assert everything(engine) == before
    assert [row.line for row in refused.value.shown] == [left + 4, left + 5]
    assert "trip_id 7 has 32767 live payments" in refused.value.shown[0].reason
    bad = tmp_path / "bad.csv"
    report = load(*crowd, *others, *late, skip_bad=True, bad_rows_path=bad)
    assert counts(report) == (left + 4, left + 2, 0, 2)
    live = "SELECT max(share), count(DISTINCT share) FROM payments WHERE trip_id = 7 AND live"
    assert query(engine, live) == [{"max": MOST_LIVE - 1, "count": MOST_LIVE}]
    assert counts(load(*crowd, *others)) == (left + 2, 0, left + 2, 0)
    totals_agree(engine)
