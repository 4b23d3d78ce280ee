"""Files of payment history, and what an import makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from payment_service.seeding import ImportReport, import_payments

MOST = Decimal(10**12)
"""As MAX_AMOUNT where a test says nothing of it."""

HEADER = "payment_id,trip_id,amount,method,status,reference,created_at"

Load = Callable[..., ImportReport]
Rows = list[dict[str, Any]]


@contextmanager
def connected(url: str) -> Iterator[Engine]:
    engine = create_engine(url)
    yield engine
    engine.dispose()


def query(engine: Engine, statement: str) -> Rows:
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.exec_driver_sql(statement)]


def execute(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


def payments(engine: Engine) -> dict[int, dict[str, Any]]:
    rows = query(engine, "SELECT * FROM payments ORDER BY payment_id")
    return {row["payment_id"]: row for row in rows}


def everything(engine: Engine) -> dict[str, list[str]]:
    """All that an import may write, to be compared with itself."""
    tables = ("payments", "refunds", "total_deltas", "payments_payment_id_seq")
    return {
        table: sorted(str(row) for row in query(engine, f"SELECT {table}.* FROM {table}"))
        for table in tables
    }


def a_row(number: int, **changes: Any) -> str:
    """One line of the file, of the columns of HEADER."""
    cells = {
        "payment_id": number,
        "trip_id": number,
        "amount": "85.80",
        "method": "CARD",
        "status": "SUCCESS",
        "reference": f"HIS-{number}",
        "created_at": "2024-01-31 10:11:12",
    } | changes
    return ",".join(str(cell) for cell in cells.values())


def loader(engine: Engine, folder: Path) -> Load:
    """Imports a file of these lines (or bytes) from `folder`, INR and UTC unless said."""

    def load(*lines: str | bytes, header: str = HEADER, **options: Any) -> ImportReport:
        path = folder / "history.csv"
        if lines and isinstance(lines[0], bytes):
            path.write_bytes(lines[0])
        else:
            path.write_text("\n".join([header, *map(str, lines)]) + "\n", encoding="utf-8")
        meant = {"currency": "INR", "max_amount": MOST, "timezone": "UTC"} | options
        return import_payments(engine, path=path, **meant)

    return load


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.read, report.loaded, report.already_there, report.bad


def next_id(engine: Engine) -> int:
    statement = "SELECT nextval(pg_get_serial_sequence('payments', 'payment_id')) AS id"
    return int(query(engine, statement)[0]["id"])


def totals_agree(engine: Engine) -> None:
    """The deltas must tell what the rows tell."""
    told = query(
        engine,
        "SELECT provider, method, currency, status, sum(payments) AS payments,"
        " sum(created) AS created, sum(entered) AS entered, sum(captured) AS captured,"
        " sum(refunds) AS refunds, sum(refunded) AS refunded"
        " FROM total_deltas GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    )
    counted = query(
        engine,
        "SELECT provider, method, p.currency, p.status, count(*) AS payments, count(*) AS created,"
        " count(*) AS entered, sum(captured) AS captured, count(r.payment_id) AS refunds,"
        " coalesce(sum(r.amount), 0) AS refunded"
        " FROM payments AS p LEFT JOIN refunds AS r USING (payment_id)"
        " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    )
    assert told == counted


@pytest.fixture
def engine(fresh_database: str) -> Iterator[Engine]:
    """On a database of the test's own, without the app."""
    with connected(fresh_database) as engine:
        yield engine


@pytest.fixture
def load(engine: Engine, tmp_path: Path) -> Load:
    return loader(engine, tmp_path)
