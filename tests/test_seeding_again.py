"""Imports into a database that has payments already, or gets them meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine

from payment_service.seeding import BadRows, ImportReport, SeedError, import_payments
from tests.histories import (
    HEADER,
    MOST,
    Load,
    a_row,
    counts,
    everything,
    execute,
    payments,
    query,
    totals_agree,
)


def conflicting(column: str, value: str) -> tuple[str, str]:
    return a_row(5, **{column: value}), f"payment_id 5 is there already with another {column}"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        conflicting("trip_id", "6"),
        conflicting("trip_id", ""),
        conflicting("amount", "85.81"),
        conflicting("method", "CASH"),
        conflicting("status", "PENDING"),
        conflicting("reference", "HIS-6"),
        conflicting("created_at", "2024-01-31 10:11:13"),
        (a_row(6, reference="HIS-5"), "reference HIS-5 belongs to payment 5"),
    ],
)
def test_other_content_under_a_known_id_or_reference_is_a_conflict(
    engine: Engine, load: Load, line: str, reason: str
) -> None:
    load(a_row(5))
    before = everything(engine)
    with pytest.raises(BadRows, match="line 3: ") as caught:
        load(a_row(1), line)
    assert [(row.line, row.reason) for row in caught.value.shown] == [(3, reason)]
    assert everything(engine) == before
    assert counts(load(a_row(1), line, skip_bad=True)) == (2, 1, 0, 1)
    assert list(payments(engine)) == [1, 5]


def test_another_currency_is_a_conflict(load: Load) -> None:
    load(a_row(5))
    with pytest.raises(BadRows, match="another currency"):
        load(a_row(5), currency="USD")


@pytest.mark.parametrize(
    "change",
    [
        "provider = 'sandbox', status = 'PROCESSING', amount = 9000, method = 'UPI'",
        "provider = 'sandbox', status = 'SUCCESS', amount = 9000, authorized = 9000,"
        " captured = 9000, version = 2, currency = 'USD', rider_id = 4",
        "status = 'CANCELLED', version = 2",
    ],
)
def test_a_pending_payment_that_moved_on_here_is_no_conflict(
    engine: Engine, load: Load, change: str
) -> None:
    load(a_row(5, status="PENDING"))
    execute(engine, f"UPDATE payments SET {change}")
    before = everything(engine)
    assert counts(load(a_row(5, status="PENDING"))) == (1, 0, 1, 0)
    with pytest.raises(BadRows, match="another trip_id"):
        load(a_row(5, status="PENDING", trip_id=6))
    with pytest.raises(BadRows, match=r"another .*status"):
        load(a_row(5, status="REFUNDED"))
    assert everything(engine) == before


def shares(engine: Engine) -> dict[int, int]:
    return {row["payment_id"]: row["share"] for row in payments(engine).values()}


def test_several_payments_of_a_trip_share_it(engine: Engine, load: Load) -> None:
    later = "2024-02-01 00:00:00"
    report = load(
        a_row(1, trip_id=7, status="PENDING"),
        a_row(2, trip_id=7, status="FAILED"),
        a_row(3, trip_id=7, created_at=later),
        a_row(4, trip_id=7),
        a_row(5, trip_id=7, status="REFUNDED"),
        a_row(6, trip_id=7, status="CANCELLED"),
        a_row(7, trip_id=8),
        a_row(8, trip_id=8, status="FAILED"),
        a_row(9, trip_id=""),
        a_row(10, trip_id=""),
        a_row(11, trip_id=7, status="PENDING"),
    )
    assert report.crowded_trips == (7,)
    assert "1 trip " in report.lines()[-1] and report.lines()[-1].endswith(": 7")
    assert shares(engine) == {
        4: 0, 3: 1, 5: 2, 1: 3, 11: 4,
        2: 0, 6: 0, 7: 0, 8: 0, 9: 0, 10: 0,
    }  # fmt: skip


def test_what_is_there_keeps_its_share_unless_it_waits_for_a_charge(
    engine: Engine, load: Load
) -> None:
    """Else a charge would take the PENDING payment over although history has paid for the trip."""
    load(
        a_row(1, trip_id=1, status="PENDING"),
        *(a_row(2, trip_id=2), a_row(3, trip_id=3, status="PENDING")),
        *(a_row(4, trip_id=4, status="FAILED"), a_row(5, trip_id=5)),
        *(a_row(6, trip_id=5), a_row(7, trip_id=6)),
    )
    execute(engine, "UPDATE payments SET status = 'PROCESSING', provider = 'x' WHERE trip_id = 3")
    execute(
        engine,
        "UPDATE payments SET status = 'FAILED', captured = 0, authorized = 0 WHERE payment_id = 5",
    )
    assert shares(engine)[6] == 1
    report = load(
        *(a_row(11, trip_id=1), a_row(21, trip_id=1, status="PENDING")),
        *(a_row(12, trip_id=2, status="PENDING"), a_row(13, trip_id=3), a_row(14, trip_id=4)),
        *(a_row(15, trip_id=5), a_row(16, trip_id=6, status="FAILED")),
    )
    assert report.crowded_trips == (1, 2, 3, 5)
    assert shares(engine) == {
        11: 0, 1: 1, 21: 2, 2: 0, 12: 1, 3: 0, 13: 1,
        4: 0, 14: 0, 5: 0, 6: 1, 15: 0, 7: 0, 16: 0,
    }  # fmt: skip
    totals = query(engine, "SELECT sum(payments) AS n FROM total_deltas")
    assert totals == [{"n": 14}]


def test_two_imports_at_once(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(HEADER + "\n" + "\n".join(a_row(n) for n in range(1, 2001)) + "\n")
    reports: list[ImportReport] = []

    def run() -> None:
        reports.append(
            import_payments(engine, path=path, currency="INR", max_amount=MOST, timezone="UTC")
        )

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts(report) for report in reports) == [
        *[(2000, 0, 2000, 0)] * 3,
        (2000, 2000, 0, 0),
    ]
    totals_agree(engine)


def test_a_payment_made_meanwhile_undoes_the_import(engine: Engine, load: Load) -> None:
    """The other transaction holds the trip when the import's checks look, and commits after."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            load(a_row(1), a_row(2), a_row(3))
        except SeedError as error:
            failures.append(error)

    waiting = (
        "SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO payments (payment_id, trip_id, amount, currency, method, status,"
            " reference, caller, created_at, updated_at) VALUES"
            " (900, 2, 100, 'INR', 'CARD', 'PENDING', 'PAY-900', 'c', now(), now())"
        )
        importing = threading.Thread(target=run)
        importing.start()
        while not query(engine, waiting):
            assert importing.is_alive()
    importing.join()
    assert len(failures) == 1
    assert "run the import again" in str(failures[0]) and "INSERT" not in str(failures[0])
    assert list(payments(engine)) == [900]
    assert query(engine, "SELECT FROM total_deltas") == []
    assert counts(load(a_row(1), a_row(2), a_row(3))) == (3, 3, 0, 0)
