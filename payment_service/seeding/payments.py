"""Payment history from CSV: one transaction, COPY into a staging table, one INSERT ... SELECT."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import psycopg2
from sqlalchemy import Connection, Engine
from tqdm import tqdm

from payment_service.domain.money import EXPONENTS
from payment_service.seeding import casting, checking, loading, sealing
from payment_service.seeding.dates import Moments
from payment_service.seeding.errors import SeedError, plain_errors
from payment_service.seeding.header import NOTES, Header
from payment_service.seeding.report import BAD_ROWS_SHOWN, BadRow, BadRows, ImportReport
from payment_service.seeding.stream import BLOCK, CopyStream

# Any number that no other use of advisory locks in this database has.
_ONE_IMPORT_AT_A_TIME = 7_102_394_511

# From here on autovacuum's own ANALYZE would come late for the first queries.
_WORTH_ANALYZING = 1_000

# Sorts and hashes of a million rows then stay in memory; the import is one session, and rare.
_WORK_MEM = "128MB"


def import_payments(
    engine: Engine,
    *,
    path: Path | str,
    currency: str,
    max_amount: Decimal,
    timezone: str,
    date_format: str | None = None,
    skip_bad: bool = False,
    bad_rows_path: Path | str | None = None,
    progress: bool = True,
) -> ImportReport:
    """Load the payments in the CSV file `path`, all or nothing, and commit.

    `currency` is that of all amounts, and `max_amount` (major units) what none may be over.
    `timezone` is how times without an offset are meant.
    `date_format`, in strptime's terms, replaces ISO 8601. With `skip_bad` the good rows are loaded
    and the others written to `bad_rows_path` (default: beside the file, `.bad.csv`), as they came,
    with line and reason. `progress` shows a bar if stderr is a terminal.

    Rows that are there already change nothing. Raises BadRows for rows that can't be loaded, and
    SeedError for everything else that keeps the import from its work; then nothing was loaded.
    """
    path = Path(path)
    if currency not in EXPONENTS:
        raise SeedError(f"{currency} is no currency in use (ISO 4217)")
    moments = Moments(date_format)
    with plain_errors(path), path.open("rb") as file, _bar(file, shown=progress) as bar:
        bad_rows = Path(bad_rows_path or path.with_suffix(".bad.csv")) if skip_bad else None
        if bad_rows and bad_rows.exists() and bad_rows.samefile(path):
            raise SeedError("the bad rows can't be written over the file they come from")
        stream = CopyStream(file, moments=moments, advance=bar.update)
        with engine.begin() as connection:
            _prepare(connection, timezone)
            run = _Import(connection, path, stream, moments, currency, max_amount)
            report = run.run(bad_rows, say=bar.set_description)
        if report.loaded >= _WORTH_ANALYZING:
            bar.set_description("analyzing")
            with engine.begin() as connection:
                connection.exec_driver_sql("ANALYZE payments")
    return report


def seed_demo_if_empty(
    engine: Engine, *, path: Path | str, currency: str, max_amount: Decimal, timezone: str
) -> ImportReport | None:
    """Load `path` if there is no payment at all; None if there is one."""
    with plain_errors(Path(path)), engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT EXISTS (SELECT FROM payments)").scalar_one()
    if found:
        return None
    return import_payments(
        engine,
        path=path,
        currency=currency,
        max_amount=max_amount,
        timezone=timezone,
        progress=False,
    )


@dataclass(frozen=True)
class _Import:
    """One run over one connection; the caller commits."""

    connection: Connection
    path: Path
    stream: CopyStream
    moments: Moments
    currency: str
    max_amount: Decimal

    def run(self, bad_rows_path: Path | None, *, say: Any) -> ImportReport:
        connection, header = self.connection, self.stream.header
        say("reading")
        self._copy()
        say("checking")
        undated = self.moments.complaint
        casting.type_rows(
            connection,
            header,
            currency=self.currency,
            max_amount=self.max_amount,
            undated=undated,
        )
        checking.find_doubles(connection)
        already_there = checking.drop_known(connection, currency=self.currency)
        checking.find_conflicts(connection, currency=self.currency)
        checking.drop_faulty(connection)
        trips = loading.find_crowded(connection)
        checking.find_overcrowded(connection)
        bad = checking.drop_faulty(connection)
        shown = _first_bad_rows(connection)
        if bad and bad_rows_path is None:
            raise BadRows(self.path, bad, shown)
        loading.assign_shares(connection)
        say("writing")
        loading.move_identity(connection)
        loaded = loading.insert_payments(connection, currency=self.currency)
        loading.insert_refunds(connection, currency=self.currency)
        loading.add_to_totals(connection, currency=self.currency)
        sealing.seal(connection)
        if bad and bad_rows_path is not None:
            _write_bad_rows(connection, header, bad_rows_path)
        return ImportReport(
            path=self.path,
            read=self.stream.rows,
            loaded=loaded,
            already_there=already_there,
            bad=bad,
            bad_rows=shown,
            bad_rows_path=bad_rows_path if bad else None,
            crowded_trips=trips,
            ignored_columns=header.ignored,
        )

    def _copy(self) -> None:
        casting.create_staging(self.connection, self.stream.header)
        with _cursor(self.connection) as cursor:
            try:
                cursor.copy_expert(
                    "COPY staging FROM STDIN"
                    " (FORMAT text, DELIMITER ',', NULL '', ENCODING 'UTF8')",
                    self.stream,
                    BLOCK,
                )
            except psycopg2.Error:
                if self.stream.failure is not None:
                    raise self.stream.failure from None
                raise
            if cursor.rowcount != self.stream.rows:
                raise SeedError(f"{self.stream.rows} rows sent, {cursor.rowcount} arrived")


def _prepare(connection: Connection, timezone: str) -> None:
    """The settings of this one transaction. A second import waits here for the first."""
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        raise SeedError(f"{timezone} is no IANA time zone, such as Asia/Kolkata") from None
    for name, value in (
        ("timezone", timezone),
        ("work_mem", _WORK_MEM),
        ("statement_timeout", "0"),
        ("lock_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
    ):
        connection.exec_driver_sql("SELECT set_config(%s, %s, true)", (name, value))
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_ONE_IMPORT_AT_A_TIME,))


def _first_bad_rows(connection: Connection) -> tuple[BadRow, ...]:
    rows = connection.exec_driver_sql(
        "SELECT line, string_agg(reason, '; ') FROM faulty GROUP BY line ORDER BY line LIMIT %s",
        (BAD_ROWS_SHOWN,),
    )
    return tuple(BadRow(line, reason) for line, reason in rows)


def _write_bad_rows(connection: Connection, header: Header, path: Path) -> None:
    """The file's own columns, as they came, with line and reason: to be mended and fed in again."""
    kept = [i for i, title in enumerate(header.titles) if title.lower() not in NOTES]
    cells = ", ".join(f"c{place}" for place in kept)
    with path.open("w", encoding="utf-8", newline="") as file, _cursor(connection) as cursor:
        titles = [header.titles[place] for place in kept]
        csv.writer(file, lineterminator="\n").writerow([*titles, *NOTES])
        cursor.copy_expert(
            f"COPY (SELECT {cells}, line, reason FROM staging JOIN ("  # noqa: S608
            " SELECT line, string_agg(reason, '; ') AS reason FROM faulty GROUP BY line"
            ") AS faulty USING (line) ORDER BY line) TO STDOUT (FORMAT csv)",
            file,
        )


@contextmanager
def _cursor(connection: Connection) -> Iterator[Any]:
    """psycopg2's own cursor, because SQLAlchemy has no COPY."""
    cursor = connection.connection.cursor()
    try:
        yield cursor
    finally:
        cursor.close()


def _bar(file: BinaryIO, *, shown: bool) -> tqdm[Any]:
    """A progress bar on stderr, of the bytes that were read; none if stderr is no terminal."""
    size = os.fstat(file.fileno()).st_size
    return tqdm(total=size or None, unit="B", unit_scale=True, disable=None if shown else True)
