"""How fast the import is beside a bare \\copy of the same rows into the same table.

Usage: python scripts/bench_import.py [--rows 1000000] [--rounds 3]

DATABASE_URL names a server on which two databases, migrated and empty, may be made and dropped.
Prints the seconds of each and the ratio: 1.0 is as fast as \\copy, 0.5 half as fast; last those of
the best times, as whatever else the machine does only ever adds to one.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, create_engine, make_url, text

sys.path.insert(0, str(Path(__file__).parent.parent))

from payment_service import config, create_app
from payment_service.seeding import import_payments

MOST = Decimal(100_000)
BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
COLUMNS = (
    "payment_id, trip_id, purpose, share, amount, currency, authorized, captured, refunded,"
    " refund_pending, method, provider, status, reference, caller, metadata, version, created_at,"
    " updated_at, completed_at, captured_at"
)


def write_payments(path: Path, rows: int) -> None:
    """A file of the usual columns: ids in order, references and times at random, a fixed seed."""
    draw = random.Random(rows)
    start = datetime(2023, 1, 1)  # noqa: DTZ001
    with path.open("w") as file:
        file.write("payment_id,trip_id,amount,method,status,reference,created_at\n")
        for number in range(1, rows + 1):
            (status,) = draw.choices(("SUCCESS", "FAILED", "PENDING", "REFUNDED"), (70, 18, 9, 3))
            method = draw.choice(("CARD", "WALLET", "UPI", "CASH"))
            reference = "RHP20251003-" + "".join(draw.choices(BASE32, k=10))
            at = start + timedelta(seconds=draw.randrange(3 * 365 * 86400))
            amount = f"{draw.randrange(1200, 30000) / 100:.2f}"
            file.write(f"{number},{number},{amount},{method},{status},{reference},{at}\n")


def fresh_database(server: URL, name: str) -> URL:
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    url = server.set(database=name)
    shown = url.render_as_string(hide_password=False)
    migrations = Config("migrations/alembic.ini")
    migrations.set_main_option("script_location", "migrations")
    with create_app(config.load(database_url=shown)).app_context():
        command.upgrade(migrations, "head")
    return url


def psql(url: URL, statement: str) -> float:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    started = time.perf_counter()
    subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-c", statement, plain], check=True)
    return time.perf_counter() - started


def timed_import(url: URL, path: Path) -> float:
    engine = create_engine(url)
    started = time.perf_counter()
    import_payments(engine, path=path, currency="INR", max_amount=MOST, timezone="UTC")
    taken = time.perf_counter() - started
    engine.dispose()
    return taken


def one_round(server: URL, history: Path, rows: Path) -> tuple[float, float]:
    """Seconds of the import, and of \\copy of the rows that it made."""
    imported = fresh_database(server, "bench_import")
    copied = fresh_database(server, "bench_copy")
    psql(copied, "CHECKPOINT")
    ours = timed_import(imported, history)
    psql(imported, f"\\copy (SELECT {COLUMNS} FROM payments) TO '{rows}' CSV")  # noqa: S608
    psql(imported, "CHECKPOINT")
    bare = psql(copied, f"\\copy payments ({COLUMNS}) FROM '{rows}' CSV")
    print(f"import {ours:.1f} s, \\copy {bare:.1f} s, {bare / ours:.2f}")
    return ours, bare


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    server = make_url(config.load().database_url)
    with tempfile.TemporaryDirectory() as folder:
        history, rows = Path(folder, "payments.csv"), Path(folder, "rows.csv")
        write_payments(history, asked.rows)
        print(f"{asked.rows} rows, {history.stat().st_size} bytes")
        times = [one_round(server, history, rows) for _ in range(asked.rounds)]
    ours, bare = (min(column) for column in zip(*times, strict=True))
    print(f"best of {asked.rounds}: import {ours:.1f} s, \\copy {bare:.1f} s, {bare / ours:.2f}")
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for name in ("bench_import", "bench_copy"):
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    main()
