"""Any bytes: what the reader gives COPY does not depend on blocks, and loses no row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from payment_service.domain.money import BadAmount, parse_amount
from payment_service.seeding import import_payments, stream
from payment_service.seeding.dates import UNREADABLE, Moments
from payment_service.seeding.stream import CopyStream
from tests.histories import HEADER, MOST, connected, execute, payments, totals_agree

WIDE = b"payment_id,trip_id,amount,method,status,reference,created_at\n"
ESCAPES = {"n": "\n", "r": "\r"}


def copied(content: bytes, date_format: str | None = None) -> list[list[str]]:
    """The rows as COPY in text format reads them: line, fault, moment, cells."""
    source = CopyStream(io.BytesIO(WIDE + content), moments=Moments(date_format))
    text = b"".join(iter(source.read, b"")).decode()
    rows = [list(cells(line)) for line in text.split("\n")[:-1]]
    assert len(rows) == source.rows
    return rows


def cells(line: str) -> Iterator[str]:
    cell, characters = "", iter(line)
    for character in characters:
        if character == ",":
            yield cell
            cell = ""
        elif character == "\\":
            escaped = next(characters)
            cell += ESCAPES.get(escaped, escaped)
        else:
            assert character not in "\r\0"
            cell += character
    yield cell


texts = st.text(st.sampled_from("a1é\U0001f600 .\\\t;'"), max_size=4)
odd = st.text(st.sampled_from('a,"\n\r\\x'), max_size=6)
table = st.lists(st.lists(st.one_of(texts, odd), min_size=7, max_size=7), max_size=8)
scraps = st.lists(
    st.sampled_from(
        [
            *(
                b"a",
                b",",
                b",,,,,,",
                b"\n",
                b"\r\n",
                b"\r",
                b'"',
                b'""',
                b"\0",
                b"\xe9",
                b"\xc3\xa9",
            ),
            *(b"1,2,3,4,5,6,7\n", b"\\", b"\\.", b"\n\\.\n", b'"a,b"', b" ", b"\xed\xa0\x80"),
        ]
    ),
    max_size=30,
).map(b"".join)


@given(table, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_every_cell_comes_through(rows: list[list[str]], end: str, all_quoted: bool) -> None:
    written = io.StringIO()
    # The writer leaves a lone carriage return unquoted: such rows are quoted whole.
    for row in rows:
        careful = csv.QUOTE_ALL if all_quoted or "\r" in "".join(row) else csv.QUOTE_MINIMAL
        csv.writer(written, lineterminator=end, quoting=careful).writerow(row)
    read = copied(written.getvalue().encode())
    assert [[row[1], *row[3:]] for row in read] == [["", *row] for row in rows]
    heights = [1 + "".join(row).count("\n") for row in rows]
    assert [int(row[0]) for row in read] == [2 + sum(heights[:n]) for n in range(len(rows))]


@given(scraps)
@example(b'1,2,3,4,5,6,"\n\\.\n1,2,3,4,5,6,7')
@example(b'"1","2","3","4","5","6","7"\n"1","2","","4","5","6",""7\n')
@example(b'"1","2","3","4","5","6","7"\n"1""2","3","4","5","6","7"\n')
@example(b'"1","2","3","4",""",""","7"\n')
@example(b'"' + b"1,2,3,4,5,6,7\n" * 4 + b'1,2,3,4,5,"6",7\n')
def test_blocks_make_no_difference_and_no_line_is_lost(content: bytes) -> None:
    whole = copied(content)
    with pytest.MonkeyPatch.context() as patch:
        for size in (1, 7, 64):
            patch.setattr(stream, "BLOCK", size)
            assert copied(content) == whole
    assert all(len(row) == 10 for row in whole)
    numbers = [int(row[0]) for row in whole]
    assert numbers == sorted(set(numbers))
    for line, text in enumerate(content.split(b"\n"), start=2):
        blank = not text.strip()
        assert blank or line in numbers or inside_a_record(whole, line)


def inside_a_record(rows: list[list[str]], line: int) -> bool:
    """Whether the row that starts before `line` reaches it, by the line ends in its cells."""
    before = [row for row in rows if int(row[0]) < line]
    return bool(before) and int(before[-1][0]) + "".join(before[-1][3:]).count("\n") >= line


def test_a_quote_that_is_never_closed_spoils_its_line_only() -> None:
    rows = b"".join(b"%d,2,3,4,5,6,7\n" % n for n in range(30_000))
    read = copied(b'1,"2,3,4,5,6,7\n' + rows)
    assert len(read) == 30_001
    assert [row[0] for row in read if row[1]] == ["2"]
    assert [row[0] for row in read] == [str(line) for line in range(2, 30_003)]


@pytest.mark.parametrize(
    "line",
    [
        '"1","2","","4","5","6","7"',
        '"1",a"2","3","4","5","6","7"',
        'a"1","2","3","4","5","6","7"',
        '"1","2","3","4","5","6",a"7"',
    ],
)
def test_quotes_are_taken_off_where_they_stand_around_a_cell(line: str) -> None:
    for lines in ([line], [line, line], ['"1","2","3","4","5","6","7"', line]):
        read = copied("".join(f"{text}\n" for text in lines).encode())
        assert [row[3:] for row in read] == list(csv.reader(lines, strict=True))


@pytest.mark.parametrize(
    ("date_format", "written", "moment"),
    [
        ("%d/%m/%Y", "31/12/2024", "2024-12-31T00:00:00"),
        ("%d/%m/%Y", "31/02/2024", UNREADABLE),
        (None, "2024-12-31 10:11", "2024-12-31T10:11:00"),
        (None, "2024-12-31T10:11:12+01:00", "2024-12-31T09:11:12+00:00"),
        (None, "2024-02-30 10:11:12", UNREADABLE),
        (None, "1899-12-31 10:11:12", UNREADABLE),
        (None, "9999-01-01 10:11:12", UNREADABLE),
    ],
)
def test_dates_are_read_alike_in_plain_rows_and_in_quoted_ones(
    date_format: str | None, written: str, moment: str
) -> None:
    for cell in ("6", '"6"'):
        content = f"1,2,3,4,5,{cell},{written}\n".encode()
        for row in copied(content * 2, date_format):
            assert row[1:] == ["", moment, "1", "2", "3", "4", "5", "6", written]


def test_usual_dates_are_left_to_postgresql() -> None:
    content = b"1,2,3,4,5,6,2024-12-31 10:11:12\n1,2,3,4,5,6,2024-02-29T23:59:59\n"
    assert [row[2] for row in copied(content)] == ["", ""]


@pytest.fixture
def engine(fresh_database: str) -> Iterator[Engine]:
    with connected(fresh_database) as engine:
        yield engine


STATUSES = {"PENDING": "PENDING", "success": "SUCCESS", "Completed": "SUCCESS", "FAILED": "FAILED"}
METHODS = {"card": "CARD", "COD": "CASH", "UPI": "UPI", "Swish": "SWISH"}
entry = st.fixed_dictionaries(
    {
        "payment_id": st.integers(-1, 40).map(str) | st.sampled_from(["", "x", "1.0", " 7 "]),
        "trip_id": st.integers(0, 5).map(str) | st.just(""),
        "amount": st.decimals(0, 10**6, places=2).map(str)
        | st.decimals(0, 100, allow_nan=False).map(str)
        | st.sampled_from(["85.8", "1e3", "", ".5", "5.", "1,0", "٣"]),
        "method": st.sampled_from([*METHODS, *METHODS, "BARTER", ""]),
        "status": st.sampled_from([*STATUSES, *STATUSES, "PROCESSING"]),
        "reference": st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
        | st.text("ab", min_size=99, max_size=102),
        "created_at": st.datetimes(datetime(1890, 1, 1), datetime(2100, 1, 1)).map(str)  # noqa: DTZ001
        | st.sampled_from(["2024-02-30", "2024-02-29", "x"]),
    }
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(entries=st.lists(entry, max_size=12))
def test_what_goes_in_comes_out_or_is_reported(
    engine: Engine, tmp_path: Path, entries: list[dict[str, str]]
) -> None:
    path = tmp_path / "history.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, HEADER.split(","), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(entries)
    execute(engine, "DELETE FROM payments")
    execute(engine, "DELETE FROM total_deltas")
    report = import_payments(
        engine, path=path, currency="INR", max_amount=MOST, timezone="UTC", skip_bad=True
    )
    expected = good(entries)
    told = {
        number: (row["trip_id"], row["amount"], row["method"], row["status"], row["reference"])
        for number, row in payments(engine).items()
    }
    assert told == {
        number: tuple(row[name] for name in ("trip_id", "amount", "method", "status", "reference"))
        for number, row in expected.items()
    }
    assert {n: row["created_at"] for n, row in payments(engine).items()} == {
        n: row["created_at"] for n, row in expected.items()
    }
    assert (report.read, report.loaded) == (len(entries), len(expected))
    assert report.bad == len(entries) - len(expected)
    totals_agree(engine)


def good(entries: list[dict[str, str]]) -> dict[int, dict[str, Any]]:
    """The rows that shall come in, read by the rules of the domain, one by one."""
    loaded, ids, references = {}, set(), set()
    for entry in entries:
        row = typed(entry)
        # An id or reference is used from the first line on that reads well but for it.
        number, reference = digits(entry["payment_id"]), entry["reference"]
        twice = number in ids or reference in references
        ids |= {number} - {None}
        if "\0" not in reference and reference.strip(" ") and len(reference) <= 100:
            references.add(reference)
        if row is not None and not twice:
            loaded[row["payment_id"]] = row
    return loaded


def digits(text: str) -> int | None:
    bare = text.strip(" ")
    return int(bare) if bare.isascii() and bare.isdigit() and int(bare) > 0 else None


def typed(entry: dict[str, str]) -> dict[str, Any] | None:
    try:
        amount = parse_amount(entry["amount"], "INR")
        at = datetime.fromisoformat(entry["created_at"]).replace(tzinfo=UTC)
        row = {
            "payment_id": digits(entry["payment_id"]),
            "trip_id": digits(entry["trip_id"]) if entry["trip_id"] else None,
            "amount": amount,
            "method": METHODS[entry["method"]],
            "status": STATUSES[entry["status"]],
            "reference": entry["reference"],
            "created_at": at,
        }
    except (BadAmount, ValueError, KeyError):
        return None
    reference = entry["reference"]
    refused = (
        row["payment_id"] is None
        or (row["trip_id"] is None and entry["trip_id"])
        or amount <= 0
        or not reference.strip(" ")
        or len(reference) > 100
        or "\0" in reference
        or not 1900 <= at.year <= 9998
    )
    return None if refused else row
