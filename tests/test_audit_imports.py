"""Imported payments have no events; their seals say what they were, and where those come from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import text

from payment_service import seeding
from payment_service.extensions import db
from payment_service.services import audit
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.histories import MOST
from tests.sisters import apps_on

MIGRATIONS = str(Path(__file__).resolve().parents[1] / "migrations")
# The trips are of this file's own: tests share a provider, and a charge goes by its trip.
ROWS = """payment_id,trip_id,amount,method,status,reference,created_at
{0},{0},85.80,CARD,REFUNDED,OLD-{0},2024-01-02
{1},{1},85.80,CARD,PENDING,OLD-{1},2024-01-02
"""


@pytest.fixture
def app(fresh_database: str, make_app: MakeApp) -> Iterator[Flask]:
    made = apps_on(fresh_database, make_app)(trip_service_url=None)
    with made.app_context():
        yield made


@pytest.fixture
def history(tmp_path: Path) -> Path:
    file = tmp_path / "history.csv"
    file.write_text(ROWS.format(a_number(), a_number()))
    return file


def load(file: Path) -> int:
    return seeding.import_payments(
        db.engine, path=file, currency="INR", max_amount=MOST, timezone="UTC", progress=False
    ).loaded


def change(statement: str) -> None:
    with db.engine.begin() as connection:
        assert connection.execute(text(statement)).rowcount > 0


def seals() -> int:
    with db.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM import_seals")).scalar_one())


def test_the_seal_holds_until_a_charge_takes_the_payment_over(app: Flask, history: Path) -> None:
    assert load(history) == 2
    pending = history.read_text().splitlines()[2].split(",")[1]
    order = {"trip_id": int(pending), "amount": "85.80", "driver_id": 1}
    order |= {"method": "CASH"}
    answer = app.test_client().post(
        "/v1/payments/charge", json=order, headers={"Idempotency-Key": a_key()}
    )
    assert answer.status_code == 201, answer.json
    assert audit.verify().broken == ()
    change(f"UPDATE payments SET reference = 'OTHER' WHERE trip_id = {pending}")
    assert "reference" in str(audit.verify().broken)


def test_history_without_seals_gets_them_from_the_same_file(app: Flask, history: Path) -> None:
    load(history)
    change("DELETE FROM import_seals")
    assert len(audit.verify().broken) == 2
    assert load(history) == 0
    assert (seals(), audit.verify().broken) == (2, ())


@pytest.mark.parametrize(
    "change_of_seal",
    [
        "content = repeat('[', 100000)",
        "content = regexp_replace(content, '[0-9]{16}', '1e400')",
        "content = regexp_replace(content, '[0-9]{16}', repeat('9', 40))",
        "content = replace(content, 'OLD', '\\ud800')",
    ],
)
def test_a_seal_that_can_t_be_read_hides_no_other(
    app: Flask, history: Path, change_of_seal: str
) -> None:
    load(history)
    change(f"UPDATE import_seals SET {change_of_seal} WHERE payment_id % 2 = 1")
    change("UPDATE payments SET amount = amount + 1 WHERE payment_id % 2 = 0")
    said = app.test_cli_runner().invoke(args=["audit", "verify"])
    assert said.exit_code == 1
    assert "its amount is" in said.output


def test_a_changed_row_gets_no_seal(app: Flask, history: Path) -> None:
    load(history)
    change("DELETE FROM import_seals")
    change("UPDATE payments SET amount = 1 WHERE status = 'PENDING'")
    with pytest.raises(seeding.BadRows):
        load(history)
    assert seals() == 0


def test_a_later_import_moves_a_pending_payment_aside(
    app: Flask, history: Path, tmp_path: Path
) -> None:
    """Which is no news of it, whether it was imported or created here."""
    load(history)
    trips = [int(history.read_text().splitlines()[2].split(",")[1]), a_number()]
    created = an_order(trip_id=trips[1])
    assert app.test_client().post("/v1/payments", json=created).status_code == 201
    paid = tmp_path / "paid.csv"
    lines = [f"{trip + 10**12},{trip},85.80,CARD,SUCCESS,PAID-{trip},2024-01-03" for trip in trips]
    paid.write_text("\n".join([ROWS.splitlines()[0], *lines]))
    assert load(paid) == 2
    with db.engine.connect() as connection:
        query = "SELECT count(*) FROM payments WHERE share = 1 AND status = 'PENDING'"
        assert connection.execute(text(query)).scalar_one() == 2
    assert audit.verify().broken == ()


def test_the_migration_seals_what_was_imported_before(
    make_app: MakeApp, bare_database: str
) -> None:
    app = make_app(database_url=bare_database, redis_url=None)
    with app.app_context():
        upgrade(MIGRATIONS, revision="0002")
        change(
            "INSERT INTO payments (payment_id, trip_id, amount, currency, authorized, captured,"
            " method, provider, status, reference, caller, created_at, updated_at, completed_at,"
            " captured_at) SELECT 1, 32, 8580, 'INR', 8580, 8580, 'CARD', 'import', 'SUCCESS',"
            " 'OLD-1', 'import', at, at, at, at FROM (SELECT now() - interval '1 year' AS at) a"
        )
        upgrade(MIGRATIONS)
        assert audit.verify().broken == ()
        change("UPDATE payments SET amount = 9999")
        assert "its amount is 9999, the import says 8580" in str(audit.verify().broken)
        for engine in db.engines.values():
            engine.dispose()
