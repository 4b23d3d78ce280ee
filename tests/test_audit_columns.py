"""Every column of every money table: changed behind the service's back it is named, or excused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Column, Table, text
from sqlalchemy.dialects.postgresql import JSON

from payment_service import seeding
from payment_service.domain.operators import Role
from payment_service.extensions import db
from payment_service.models import Event, ImportSeal
from payment_service.services import audit
from payment_service.services.audit_rows import Broken
from payment_service.services.moves import snapshots
from payment_service.services.moves.refund_holds import REQUEST
from payment_service.services.moves.rows import PAYMENT, REFUND, TRANSACTION
from tests.books import post
from tests.fixtures import MakeApp, a_key, an_order
from tests.four_eyes import acting, approves, asks, declines
from tests.histories import MOST
from tests.sandbox_calls import arm
from tests.sandbox_server import Sandbox
from tests.sisters import apps_on, give_back, pay

Row = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]

EVENT = Event.__table__
SEAL = ImportSeal.__table__
# Of each payment's events only the last: a chain says no more than where it breaks first.
MONEY = {
    PAYMENT: "true",
    TRANSACTION: "true",
    REFUND: "true",
    REQUEST: "true",
    EVENT: "(payment_id, seq) IN (SELECT payment_id, max(seq) FROM events GROUP BY payment_id)",
}
HISTORY = """payment_id,trip_id,amount,method,status,reference,created_at
1,32,85.80,CARD,REFUNDED,OLD-1,2024-01-02
2,33,85.80,CASH,SUCCESS,OLD-2,2024-01-02
3,34,85.80,UPI,FAILED,OLD-3,2024-01-02
4,35,85.80,UPI,PENDING,OLD-4,2024-01-02
"""
OF_MONEY = ["payments", "transactions", "refunds", "refund_requests", "events", "deliveries"]
# What the database itself refuses, a superuser takes away first.
GUARDS = """
    SELECT format(
        'ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE', conrelid::regclass, conname)
    FROM pg_constraint WHERE contype IN ('c', 'f', 'p') AND conrelid::regclass::text = ANY(:tables)
    UNION ALL
    SELECT 'DROP INDEX ' || indexname FROM pg_indexes
    WHERE indexname LIKE 'uq%' AND tablename = ANY(:tables)
    UNION ALL
    SELECT 'ALTER TABLE ' || table_name || ' ALTER ' || column_name || ' DROP EXPRESSION'
    FROM information_schema.columns WHERE table_schema = 'public' AND is_generated = 'ALWAYS'
"""
MORE_GUARDS = (
    "DROP TRIGGER events_are_append_only ON events",
    "ALTER TABLE transactions ALTER transaction_id DROP IDENTITY",
)


@pytest.fixture
def house(
    fresh_database: str, make_app: MakeApp, sandbox: Sandbox, tmp_path: Path
) -> Iterator[Flask]:
    """Payments of every kind, on a database whose guards are gone."""
    app = apps_on(fresh_database, make_app)()
    of_all_kinds(app, sandbox, tmp_path / "history.csv")
    with app.app_context():
        without_guards()
        yield app


def without_guards() -> None:
    """What is untouched fits. From here on `was_...` keep each table as it is."""
    assert audit.verify().broken == ()
    with db.engine.begin() as connection:
        for (statement,) in connection.execute(text(GUARDS), {"tables": OF_MONEY}).all():
            connection.execute(text(statement))
        for statement in MORE_GUARDS:
            connection.execute(text(statement))
        for table in (*MONEY, SEAL):
            connection.execute(text(f"CREATE TABLE was_{table} AS TABLE {table}"))


def of_all_kinds(app: Flask, sandbox: Sandbox, history: Path) -> None:
    client = app.test_client()
    said = {
        "rider_id": 101,
        "driver_id": 201,
        "user_id": 301,
        "description": "To the airport",
        "metadata": {"city": "Pune"},
        "reference": "R-1",
    }
    charged = pay(app, **said, payment_token="tok_ok")
    give_back(app, charged, "40.00")
    for token in ("tok_refund_decline", "tok_refund_pending"):
        refused = pay(app, payment_token=token)
        post(client, f"/v1/payments/{refused}/refund", reason="too late")
    pay(app, payment_token="tok_decline_do_not_honor")
    post(client, "/v1/payments/charge", **an_order(payment_token="tok_pending"))
    lost = a_key()
    arm(sandbox, "refund", "do_and_lose_answer", match={"token": lost})
    post(client, f"/v1/payments/{pay(app, payment_token=lost)}/refund")
    ended = {"capture": {"amount": "60.00"}, "cancel": {}}
    for verb, body in ended.items():
        held = post(client, "/v1/payments/charge", **an_order(capture=False)).json["payment_id"]
        assert post(client, f"/v1/payments/{held}/{verb}", **body).status_code < 300
    waiting = post(client, "/v1/payments/charge", **an_order(payment_token="tok_requires_action"))
    assert waiting.json["status"] == "REQUIRES_ACTION"
    for _ in range(2):
        created = client.post("/v1/payments", json=an_order() | said).json["payment_id"]
    assert post(client, f"/v1/payments/{created}/charge").status_code == 201
    who_ask_and_decide(app)
    history.write_text(HISTORY)
    with app.app_context():
        seeding.import_payments(
            db.engine, path=history, currency="INR", max_amount=MOST, timezone="UTC", progress=False
        )


def who_ask_and_decide(app: Flask) -> None:
    """Refunds that operators asked for: one waits, one was approved, one declined."""
    asker, approver = acting(app), acting(app, Role.APPROVER)
    waits, approved, declined = (asks(app, asker, pay(app), "40.00") for _ in range(3))
    assert waits["state"] == "OPEN"
    approves(app, approver, approved)
    declines(app, approver, declined)


def change(statement: str, **values: Any) -> list[Row]:
    """Runs and commits it; the rows that it gives back."""
    with db.engine.begin() as connection:
        return [dict(row) for row in connection.execute(text(statement), values).mappings()]


def as_it_was(table: Table) -> None:
    with db.engine.begin() as connection:
        connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text(f"INSERT INTO {table} TABLE was_{table}"))
    assert audit.verify().broken == ()


def others(column: Column[Any]) -> list[str]:
    """What else could stand in the column, as SQL."""
    name = f'"{column.name}"'
    made = {
        int: f"(coalesce({name}, 0) + 100)",
        str: f"coalesce({name}, '') || 'x'",
        bool: f"NOT {name}",
        bytes: f"coalesce({name}, '') || 'x'::bytea",
        dict: """'{"x": "y"}'""",
        datetime: f"coalesce({name}, now()) + interval '1 microsecond'",
    }
    kind = dict if isinstance(column.type, JSON) else column.type.python_type
    return [made[kind]] + ["NULL"] * bool(column.nullable)


def excused(table: Table, column: Column[Any], row: Row, payments: dict[int, Row]) -> bool:
    """Whether one of the tables of exceptions says that this row's column goes unseen."""
    if (table.name, column.name) in snapshots.UNSEEN:
        return True
    payment = payments[row["payment_id"]]
    when = {
        ("payments", "share"): payment["status"] == "PENDING",
        ("transactions", "transaction_id"): row.get("status") == "PROCESSING"
        and row["provider_reference"] is None,
        ("refunds", "refund_id"): payment["provider"] == "import",
    }
    assert when.keys() == snapshots.UNSEEN_AT_TIMES.keys()
    return when.get((table.name, column.name), False)


def named(table: Table, column: Column[Any], row: Row, broken: tuple[Broken, ...]) -> bool:
    """Whether a line is about that row of that table, and names the column."""
    ours = [found for found in broken if found.payment_id == row["payment_id"]]
    if column.name in ("payment_id", "number", "seq"):
        # The row is another's now. What it leaves is a gap, which says what may have become of it.
        return any(column.name in found.what for found in ours)
    last = {"transactions": "number", "events": "seq"}.get(table.name)
    name = "payment_token" if column.name == "token" else column.name
    return any(
        f"in {table.name}" in found.row
        and (last is None or found.row.endswith(f" {row[last]}"))
        and name in (found.column, *found.what.split())
        for found in ours
    )


@pytest.mark.slow
def test_a_change_of_any_column_is_named(house: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each kind of payment. The columns are the models', so a new one fails until it is seen."""
    monkeypatch.setattr(audit, "MOST", 10_000)
    payments = {row["payment_id"]: row for row in change("SELECT * FROM payments")}
    wrong, columns = [], 0
    for table, which in MONEY.items():
        stood = change(f"SELECT * FROM {table} WHERE {which}")
        for column in table.c:
            columns += 1
            for value in others(column):
                change(f'UPDATE {table} SET "{column.name}" = {value} WHERE {which} RETURNING 1')
                broken = audit.verify().broken
                for row in stood:
                    if value == "NULL" and row[column.name] is None:
                        continue
                    if named(table, column, row, broken) == excused(table, column, row, payments):
                        key = [row[name.name] for name in table.primary_key]
                        wrong.append(f"{column} of {key} to {value}: {broken}")
                as_it_was(table)
    assert not wrong, "\n".join(wrong)
    assert columns > 80


@pytest.mark.parametrize("table", [*MONEY, SEAL], ids=str)
def test_a_deleted_row_is_named(house: Flask, table: Table) -> None:
    """Any row, one at a time. A payment's own rows without the payment are what is left of it."""
    keys = [column.name for column in table.primary_key]
    where = " AND ".join(f"{key} = :{key}" for key in keys)
    for row in change(f"SELECT * FROM {table}"):
        values = {key: row[key] for key in keys}
        assert change(f"DELETE FROM {table} WHERE {where} RETURNING 1", **values)
        found = audit.verify().broken
        assert {broken.payment_id for broken in found} == {row["payment_id"]}
        words = " ".join(map(str, found))
        said = ("gone", "missing", "taken from the end", "the hash of the one before", "nor was it")
        assert any(what in words for what in said)
        if table in (TRANSACTION, REFUND):
            assert f"row in {table}" in words
        as_it_was(table)


def test_an_added_row_is_named(house: Flask) -> None:
    """A request or a refund that no event speaks of, in every payment; a payment and an event."""
    copied = {
        PAYMENT: {"payment_id": "payment_id + 100000"},
        TRANSACTION: {
            "number": "number + 100::smallint",
            "reference": "regexp_replace(reference, '[0-9]+$', (number + 100)::text)",
        },
        REFUND: {"refund_id": "refund_id + 100"},
        EVENT: {"seq": "seq + 100"},
    }
    for table, changes in copied.items():
        rows = change(f"SELECT * FROM {table}")
        columns = [column.name for column in table.c]
        values = ", ".join(changes.get(name, f'"{name}"') for name in columns)
        names = ", ".join(f'"{name}"' for name in columns)
        change(
            f"WITH new AS (INSERT INTO {table} ({names}) SELECT {values} FROM was_{table}"
            " RETURNING 1) SELECT count(*) FROM new"
        )
        found = audit.verify().broken
        move = 100_000 if table is PAYMENT else 0
        ours = {broken.payment_id for broken in found if f"row in {table}" in broken.row}
        assert ours >= {row["payment_id"] + move for row in rows}
        as_it_was(table)


def test_of_a_charge_without_an_outcome_little_is_known(
    fresh_database: str, make_app: MakeApp, sandbox: Sandbox
) -> None:
    """No event speaks of it yet, but payment and request must say the same."""
    app = apps_on(fresh_database, make_app)()
    order = an_order(payment_token=a_key(), description="To the airport")
    arm(sandbox, "charge", "do_and_lose_answer", match={"token": order["payment_token"]})
    answer = post(app.test_client(), "/v1/payments/charge", **order)
    assert (answer.status_code, answer.json["status"]) == (202, "PROCESSING")
    with app.app_context():
        without_guards()
        unseen = {
            (table.name, column.name)
            for table in (PAYMENT, TRANSACTION)
            for column in table.c
            if not noticed(table, column)
        }
        of_these = {key for key in snapshots.UNSEEN if key[0] in ("payments", "transactions")}
        assert unseen == snapshots.UNSEEN_UNTOLD | of_these
        change("DELETE FROM transactions RETURNING 1")
        assert "its request is gone" in str(audit.verify().broken)


def noticed(table: Table, column: Column[Any]) -> bool:
    change(f'UPDATE {table} SET "{column.name}" = {others(column)[0]} RETURNING 1')
    found = audit.verify().broken
    as_it_was(table)
    return any(column.name in (*broken.what.split(), broken.column) for broken in found)


def test_the_exceptions_are_documented() -> None:
    documented = (ROOT / "docs/audit.md").read_text()
    for (table, column), why in (snapshots.UNSEEN | snapshots.UNSEEN_AT_TIMES).items():
        assert f"| `{table}.{column}` | {why} |" in documented
