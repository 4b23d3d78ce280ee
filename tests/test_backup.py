"""db-backup and db-restore: every row comes back, nobody is in the way, the replaced database is
kept, and whatever goes wrong changes nothing."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege
from sqlalchemy.engine import make_url

from scripts import databases, db_backup
from tests.sandbox_calls import eventually

SCHEMA = """
CREATE TABLE kinds (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    amount bigint NOT NULL CHECK (amount > 0),
    name text UNIQUE, at timestamptz, body jsonb, hash bytea, exact numeric(20, 10)
);
CREATE TABLE lines (kind bigint REFERENCES kinds, n int, PRIMARY KEY (kind, n));
INSERT INTO kinds (amount, name, at, body, hash, exact)
    SELECT n, CASE WHEN n % 7 > 0 THEN 'n\u00e4me ' || n || E'\\t\\n' END,
           '2026-03-29 01:59:59.999999+00'::timestamptz + n * interval '1 hour',
           jsonb_build_object('n', n, 'list', array[n]), decode(md5(n::text), 'hex'), n / 7.0
    FROM generate_series(1, 1000) AS n;
INSERT INTO lines SELECT id, n FROM kinds, generate_series(1, 3) AS n;
"""
Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture
def database(bare_database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A database of three thousand rows, which the scripts find in the environment."""
    for name, value in databases.client_variables(bare_database).items():
        monkeypatch.setenv(name, value)
    path = databases.with_programs({**os.environ, "DATABASE_URL": bare_database})["PATH"]
    monkeypatch.setenv("PATH", path)
    run(bare_database, SCHEMA)
    yield bare_database
    drop_beside(bare_database)


def connect(url: str) -> psycopg2.extensions.connection:
    text = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg2.connect(text)


def run(url: str, statement: str) -> None:
    connection = connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def all_rows(url: str) -> Rows:
    """Every row of every table, and where every sequence stands."""
    connection = connect(url)
    found: Rows = {}
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, relkind = 'S' FROM pg_class WHERE relkind IN ('r', 'p', 'S')"
            " AND relnamespace = 'public'::regnamespace"
        )
        for name, sequence in cursor.fetchall():
            columns = sql.SQL("last_value, is_called" if sequence else "row(t.*)::text")
            select = sql.SQL("SELECT {} FROM {} t ORDER BY 1")
            cursor.execute(select.format(columns, sql.Identifier(name)))
            found[name] = cursor.fetchall()
    connection.close()
    return found


def beside(url: str) -> list[str]:
    """The databases that a restore may have left behind."""
    connection = connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE current_database() || '\\_%'"
        )
        names = [name for (name,) in cursor.fetchall()]
    connection.close()
    return names


def drop_beside(url: str) -> None:
    for name in beside(url):
        statement = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
        connection = connect(url)
        connection.autocommit = True
        # Autovacuum may be at work there; then it goes when all databases of the tests go.
        with connection.cursor() as cursor, contextlib.suppress(InsufficientPrivilege):
            cursor.execute(statement)
        connection.close()


def renamed(url: str, database: str) -> str:
    """The URL of another database on the same server."""
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def command(*arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.db_backup", *arguments],
        input=answer,
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
    )


def test_every_row_of_every_table_comes_back(database: str, tmp_path: Path) -> None:
    before = all_rows(database)
    assert len(before["kinds"]) == 1000 and len(before["lines"]) == 3000
    file = db_backup.save(tmp_path)
    assert file.name.startswith("payments-") and file.suffix == ".dump"
    assert file.stat().st_mode & 0o077 == 0, "it holds personal data"

    run(database, "DELETE FROM lines; DELETE FROM kinds WHERE id > 10; DROP TABLE lines")
    run(database, "UPDATE kinds SET amount = amount + 1; CREATE TABLE later (n int)")
    replaced = all_rows(database)
    assert replaced != before

    kept = db_backup.restore(file, folder=tmp_path)
    assert all_rows(database) == before
    run(database, "INSERT INTO kinds (amount) VALUES (1)")  # the identity goes on where it was
    assert beside(database) == [kept]
    assert re.fullmatch(make_url(database).database + r"_replaced_\d{8}T\d{6}Z", kept)
    assert all_rows(renamed(database, kept)) == replaced


@pytest.mark.slow
def test_the_migrated_tables_come_back(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in databases.client_variables(fresh_database).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", databases.with_programs({**os.environ, "DB_HOST": "x"})["PATH"])
    before = all_rows(fresh_database)
    assert before["alembic_version"]
    file = db_backup.save(tmp_path)
    run(fresh_database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    db_backup.restore(file, folder=tmp_path)
    after = all_rows(fresh_database)
    sequences = {name for name in after if name.endswith("_seq")}
    assert {name: after[name] for name in after.keys() - sequences} == {
        name: before[name] for name in before.keys() - sequences
    }
    # Nobody can say any more what was given out, so they are beyond what can have been.
    assert sequences and all(after[name] > before[name] for name in sequences)
    drop_beside(fresh_database)


@pytest.mark.slow
def test_it_refuses_while_anybody_is_connected(database: str, tmp_path: Path) -> None:
    file = db_backup.save(tmp_path)
    run(database, "DELETE FROM lines")
    before = all_rows(database)
    with connected(database, "the payment service") as idle:
        done = command("restore", str(file), "--yes")
        assert done.returncode == 1
        assert "1 connected to" in done.stderr and "the payment service" in done.stderr
        assert "FORCE=1" in done.stderr and len(done.stderr.splitlines()) == 1
        with idle.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM lines")  # it was not even disturbed
    assert all_rows(database) == before, "and others get in again"
    assert beside(database) == []


def test_by_force_it_ends_who_is_connected_and_keeps_them_out(
    database: str, tmp_path: Path
) -> None:
    """Four callers write as fast as they can: what they were told was written is in the replaced
    database, or was written when all was over."""
    before = all_rows(database)
    file = db_backup.save(tmp_path)
    done = threading.Event()
    written: list[int] = []
    numbers = itertools.count(10_000)

    def keep_busy() -> None:
        while not done.is_set():
            number = next(numbers)
            try:
                run(database, f"INSERT INTO kinds (amount) VALUES ({number})")
            except psycopg2.Error:
                continue
            written.append(number)

    callers = [threading.Thread(target=keep_busy) for _ in range(4)]
    for caller in callers:
        caller.start()
    with connected(database, "idle") as idle:
        try:
            eventually(lambda: len(written) > 10)
            kept = db_backup.restore(file, folder=tmp_path, force=True)
        finally:
            done.set()
            for caller in callers:
                caller.join()
        with pytest.raises(psycopg2.OperationalError), idle.cursor() as cursor:
            cursor.execute("SELECT 1")
    there, here = amounts(renamed(database, kept)), amounts(database)
    assert set(written) <= there | here
    assert not {n for n in there & here if n >= 10_000}
    run(database, "DELETE FROM kinds WHERE amount >= 10000")
    assert all_rows(database)["kinds"] == before["kinds"]


def amounts(url: str) -> set[int]:
    connection = connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT amount FROM kinds")
        found = {amount for (amount,) in cursor.fetchall()}
    connection.close()
    return found


@contextlib.contextmanager
def connected(url: str, name: str) -> Iterator[psycopg2.extensions.connection]:
    """A session under an application's name."""
    connection = connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('application_name', %s, false)", [name])
    try:
        yield connection
    finally:
        connection.close()


@pytest.mark.slow
def test_what_goes_wrong_after_the_door_is_closed_gives_all_back(
    database: str, tmp_path: Path
) -> None:
    """The tables are ours as far as can be seen, and the service can't look back in them."""
    run(database, "CREATE TABLE alembic_version AS SELECT '0001' AS version_num")
    file = db_backup.save(tmp_path)
    run(database, "DELETE FROM lines")
    before = all_rows(database)
    done = command("restore", str(file), "--yes")
    assert done.returncode == 1
    failed = "db-restore: flask recover restored failed: sqlalchemy.exc.ProgrammingError: "
    assert done.stderr.startswith(failed), done.stderr
    assert 'relation "payments" does not exist' in done.stderr
    assert all_rows(database) == before
    assert beside(database) == []


@pytest.mark.parametrize("stage", ["closed", "restoring", "renamed"])
def test_what_a_killed_restore_left_is_put_right_by_the_next(
    database: str, tmp_path: Path, stage: str
) -> None:
    before = all_rows(database)
    file = db_backup.save(tmp_path)
    name = make_url(database).database
    server = renamed(database, "postgres")
    killed = [f'CREATE DATABASE "{name}_restoring"']
    if stage == "closed":
        killed = [f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false']
    if stage == "renamed":
        killed.append(f'ALTER DATABASE "{name}" RENAME TO "{name}_replaced_20260102T030405Z"')
    for statement in killed:
        connection = connect(server)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.close()
    done = command("restore", str(file), "--yes")
    assert done.returncode == 0, done.stderr
    assert ("was killed" in done.stdout) == (stage == "renamed")
    assert all_rows(database) == before
    assert len(beside(database)) == 1


def test_two_restores_at_once_are_one(database: str, tmp_path: Path) -> None:
    file = db_backup.save(tmp_path)
    held = connect(renamed(database, "postgres"))
    with held, held.cursor() as cursor:
        lock = f"{make_url(database).database}_restoring"
        cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", [lock])
        done = command("restore", str(file), "--yes")
    held.close()
    assert done.returncode == 1 and "another restore" in done.stderr


@pytest.mark.parametrize("fault", ["missing", "empty", "text", "cut", "scrambled", "folder"])
def test_a_bad_file_is_one_line_and_changes_nothing(
    database: str, tmp_path: Path, fault: str
) -> None:
    before = all_rows(database)
    good = db_backup.save(tmp_path).read_bytes()
    bad = tmp_path / "bad.dump"
    middle = len(good) // 2
    if fault == "folder":
        bad.mkdir()
    elif fault != "missing":
        bad.write_bytes(
            {
                "empty": b"",
                "text": b"no dump\n",
                "cut": good[:middle],
                "scrambled": good[:middle] + bytes(64) + good[middle + 64 :],
            }[fault]
        )
    done = command("restore", str(bad), "--yes")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1 and "Traceback" not in done.stderr
    assert all_rows(database) == before
    assert beside(database) == []


def test_a_dump_that_does_not_fit_changes_nothing(database: str, tmp_path: Path) -> None:
    """The file is whole, but its rows come before those that a CHECK looks for."""
    look = "CREATE FUNCTION lined(bigint) RETURNS boolean LANGUAGE sql AS "
    run(database, f"{look} 'SELECT EXISTS (SELECT FROM public.lines WHERE kind = $1)'")
    run(database, "ALTER TABLE kinds ADD CHECK (lined(id))")
    before = all_rows(database)
    done = command("restore", str(db_backup.save(tmp_path)), "--yes")
    assert done.returncode == 1 and "violates check constraint" in done.stderr
    assert all_rows(database) == before
    assert beside(database) == []


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_it_asks_first(database: str, tmp_path: Path, answer: str, code: int) -> None:
    file = db_backup.save(tmp_path)
    run(database, "DELETE FROM lines")
    done = command("restore", str(file), answer=answer)
    assert done.returncode == code
    assert str(make_url(database).database) in done.stdout
    assert len(all_rows(database)["lines"]) == (3000 if code == 0 else 0)


def test_old_backups_go_and_the_newest_stay(tmp_path: Path) -> None:
    names = [f"payments-2026112{day}T000000Z.dump" for day in range(5)]
    for name in [*names, "payments-20261125T000000Z.part", "unknown-1.csv"]:
        (tmp_path / name).touch()
    removed = db_backup.thin_out(2, tmp_path)
    assert [file.name for file in removed] == names[:3]
    assert len(list(tmp_path.iterdir())) == 4
    assert db_backup.thin_out(0, tmp_path)[0].name == names[3]  # one stays in any case
