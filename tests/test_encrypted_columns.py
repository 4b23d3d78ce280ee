"""Encrypted columns: what is kept says nothing, opens in its own place only, and goes under new
keys while the service runs."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from flask import Flask
from sqlalchemy import BigInteger, Column, MetaData, Table, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import StatementError

from payment_service.extensions import db
from payment_service.models.columns import Encrypted, Secret
from payment_service.models.keyring import Keyring, NoKey, NotGenuine
from tests.fixtures import MakeApp, a_number
from tests.own_process import printed
from tests.patience import PATIENCE
from tests.sandbox_server import ROOT

K1, K2, K3 = (f"k{n}:{base64.b64encode(os.urandom(32)).decode()}" for n in (1, 2, 3))


# -- texts


def ring(*names: str) -> Keyring:
    return Keyring({name: name.encode() * 16 for name in names})


def test_what_is_sealed_opens_and_says_nothing() -> None:
    kept = ring("k2", "k1").seal("hidden text", "t.c/1")
    assert kept.startswith(b"k2:")
    assert b"hidden" not in kept
    assert len(kept) == 3 + 12 + len("hidden text") + 16
    assert ring("k3", "k2").open(kept, "t.c/1") == "hidden text"
    assert ring("k2").seal("hidden text", "t.c/1") != kept


def test_what_was_changed_or_moved_does_not_open() -> None:
    keys = ring("k1", "k2")
    kept = keys.seal("hidden", "t.c/1")
    for place in ("t.c/2", "t.d/1", "u.c/1", "t.c/11", ""):
        with pytest.raises(NotGenuine):
            keys.open(kept, place)
    for at in range(3, len(kept)):
        with pytest.raises(NotGenuine):
            keys.open(kept[:at] + bytes([kept[at] ^ 1]) + kept[at + 1 :], "t.c/1")
    for cut in (kept[:-1], b"k1:", b"k1:short", b"k2" + kept[2:]):
        with pytest.raises(NotGenuine):
            keys.open(cut, "t.c/1")
    for lost in (b"", b"nonsense", b"k3" + kept[2:], b"\xff:"):
        with pytest.raises(NoKey):
            keys.open(lost, "t.c/1")


def test_without_a_key_nothing_is_sealed() -> None:
    with pytest.raises(NoKey):
        Keyring({}).seal("hidden", "t.c/1")


# -- columns


@pytest.fixture
def table(make_app: MakeApp) -> Iterator[tuple[Flask, Table]]:
    """A table of the test's own with two encrypted columns, and its app."""
    name = f"secrets_{a_number()}"
    made = Table(
        name,
        MetaData(),
        Column("number", BigInteger, primary_key=True),
        Column("first", Encrypted(f"{name}.first", key="number")),
        Column("second", Encrypted(f"{name}.second", key="number")),
    )
    app = make_app(encryption_keys=f"{K2},{K1}")
    with app.app_context():
        made.create(db.engine)
        yield app, made
        made.drop(db.engine)


def test_a_column_opens_for_its_own_row_only(table: tuple[Flask, Table]) -> None:
    _, made = table
    with db.engine.begin() as connection:
        rows = [
            {"number": 1, "first": Secret(1, "hidden one"), "second": None},
            {"number": 2, "first": Secret(2, "hidden two"), "second": Secret(2, "other")},
        ]
        connection.execute(made.insert(), rows)
        one, two = connection.execute(select(made).order_by("number")).all()
        assert one.first.opened(1) == "hidden one"
        assert (two.first.opened(2), two.second.opened(2)) == ("hidden two", "other")
        assert one.second is None
        assert "hidden" not in repr([one, two, rows])
        # Moved by somebody who can write the table, to another row and to another column.
        connection.exec_driver_sql(
            f"UPDATE {made.name} AS t SET first = s.first, second = s.first"
            f" FROM {made.name} AS s WHERE s.number = 1"
        )
        one, two = connection.execute(select(made).order_by("number")).all()
        assert one.first.opened(1) == "hidden one"
        for moved, row in ((two.first, 2), (one.second, 1), (two.second, 2), (two.second, 1)):
            with pytest.raises(NotGenuine):
                moved.opened(row)


@pytest.mark.parametrize("plain", ["sesame", b"sesame", 1])
def test_a_plain_text_gets_in_nowhere(table: tuple[Flask, Table], plain: Any) -> None:
    _, made = table
    with db.engine.begin() as connection, pytest.raises(StatementError) as error:
        connection.execute(made.insert(), {"number": 1, "first": plain})
    assert isinstance(error.value.orig, TypeError)
    assert "sesame" not in str(error.value)


UNIQUE_BY_ITS_PARTS = ("transactions.reference",)
"""It is made of the payment's reference and the request's number, which are unique together; an
index of its own would cost every charge."""


def test_each_encrypted_column_names_its_own_place() -> None:
    for one in db.metadata.sorted_tables:
        for column in one.columns:
            if isinstance(kind := column.type, Encrypted):
                assert kind.place == f"{one.name}.{column.name}"
                key = one.columns[kind.key]
                assert not key.nullable
                assert key.primary_key or is_unique(key) or str(key) in UNIQUE_BY_ITS_PARTS


def is_unique(key: Column[Any]) -> bool:
    """By the column's own word, or by an index of it alone, over all rows."""
    return bool(key.unique) or any(
        index.unique
        and list(index.columns) == [key]
        and index.dialect_options["postgresql"]["where"] is None
        for index in key.table.indexes
    )


# -- rotation, in processes of their own: the table is one of the app's there

TABLE = """
import os
from sqlalchemy import Text, Column, Table, select
from payment_service.extensions import db
from payment_service.models.columns import Encrypted, Secret, key_index
from payment_service.config import BadSettings, kinds
from payment_service.domain.callers import Caller
from payment_service.models.keyring import Keyring
from payment_service.services import keys as needed_keys
from payment_service.services.audit_log import ENTRY
needed_keys.AT_ONCE = int(os.environ["AT_ONCE"])
table = Table("test_secrets", db.metadata, Column("reference", Text, primary_key=True),
    Column("answer", Encrypted("test_secrets.answer", key="reference")),
    key_index("test_secrets", "answer"))
app.app_context().push()
def use(keys):
    app.extensions["keyring"] = Keyring(kinds.encryption_keys(keys))
def boot(keys):
    use(keys)
    try:
        needed_keys.refuse_missing()
        print("boots")
    except BadSettings as error:
        print(error.faults)
def status():
    done = app.test_cli_runner().invoke(args=["keys", "status"])
    print(done.exit_code, "|".join(done.output.splitlines()))
def fill(many):
    table.create(db.engine)
    names = [f"PAY-{n}" for n in range(many)]
    rows = [{"reference": name, "answer": Secret(name, "hidden")} for name in names]
    with db.engine.begin() as connection:
        connection.execute(table.insert(), rows)
        connection.execute(table.insert(), [{"reference": "PAY-none", "answer": None}])
"""
ROTATE = "print(needed_keys.rotate(caller=Caller('cli:one'), progress=False))"
LOOK = f"""
use("{K2}")
print(needed_keys.needed())
with db.engine.begin() as connection:
    rows = connection.execute(select(table)).all()
texts = [row.answer.opened(row.reference) for row in rows if row.answer]
print(texts.count("hidden"), texts.count("hidden anew"))
with db.engine.connect() as connection:
    for act in connection.execute(select(ENTRY.c.actor, ENTRY.c.act, ENTRY.c.object, ENTRY.c.body)):
        print(*act)
"""


def in_process(url: str, script: str, keys: str, **env: str) -> list[str]:
    return printed(
        TABLE + script, DATABASE_URL=url, ENCRYPTION_KEYS=keys, **{"AT_ONCE": "50"} | env
    )


def under(url: str, key: str) -> int:
    """How many rows are under a key."""
    parts = make_url(url)
    dsn = parts.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM test_secrets WHERE get_byte(answer, 1) = %s", [ord(key[1])]
            )
            return int(cursor.fetchone()[0])  # type: ignore[index]
    finally:
        connection.close()


def run(url: str, statement: str) -> None:
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def brake(url: str, most: int) -> None:
    """Whoever has put so many rows under the new key gets no further: on a busy machine it could be
    done before anybody looks."""
    run(
        url,
        f"""
        CREATE OR REPLACE FUNCTION brake() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT count(*) FROM test_secrets WHERE get_byte(answer, 1) = {ord("2")}) > {most}
            THEN PERFORM pg_sleep(3600); END IF;
            RETURN NULL;
        END $$;
        CREATE OR REPLACE TRIGGER brake AFTER UPDATE ON test_secrets
            FOR EACH STATEMENT EXECUTE FUNCTION brake()""",
    )


LET_GO = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'
"""
"""What a killed process left at the brake: PostgreSQL does not look whether its client lives."""


def rotated_and_killed(url: str, many: int, kills: int, at_once: str) -> None:
    """Rows are put under a new key by a process that is killed again and again, while others are
    written; then one goes to the end."""
    begin = f"fill({many}); use('{K2},{K1}'); status()"
    told = f"0 k2: the newest|k1: older|test_secrets.answer: {many} rows under k1"
    assert in_process(url, begin, K1) == [told]
    made = "from payment_service import create_app\napp = create_app()\n"
    env = {"DATABASE_URL": url, "ENCRYPTION_KEYS": f"{K2},{K1}", "AT_ONCE": at_once}
    for turn in range(1, kills + 1):
        brake(url, many * (2 * turn + 1) // (2 * kills + 2))
        process = subprocess.Popen(
            [sys.executable, "-c", made + TABLE + ROTATE], cwd=ROOT, env={**os.environ, **env}
        )
        deadline = time.monotonic() + PATIENCE
        while under(url, "k2") < many * turn // (kills + 1) and time.monotonic() < deadline:
            assert process.poll() is None, "it was done before it was killed"
            time.sleep(0.002)
        process.kill()
        process.wait()
        run(url, LET_GO)
        assert 0 < under(url, "k1") < many
    run(url, "DROP TRIGGER brake ON test_secrets")
    writer = threading.Thread(
        target=in_process, args=(url, WRITE, f"{K2},{K1}"), kwargs={"MANY": str(many)}
    )
    writer.start()
    [told] = in_process(url, ROTATE, f"{K2},{K1}", AT_ONCE=at_once)
    writer.join()
    assert told.startswith("Rotated(rows=")
    assert told.endswith("unreadable=0)")
    needed, opened, *acts = in_process(url, LOOK, K2)
    assert needed == f"{{('test_secrets.answer', 'k2'): {many}}}"
    assert opened == f"{many - many // 10} {many // 10}"
    # One for each process that did any, however often it committed.
    assert set(acts) == {'cli:one keys_rotated test_secrets.answer {"key":"k2"}'}
    assert 2 <= len(acts) <= kills + 1


WRITE = """
for n in range(0, int(os.environ["MANY"]), 10):
    with db.engine.begin() as connection:
        row = f"PAY-{n}"
        change = table.update().where(table.c.reference == row)
        connection.execute(change.values(answer=Secret(row, "hidden anew")))
"""


@pytest.mark.slow
def test_rows_go_under_a_new_key_whoever_is_killed(fresh_database: str) -> None:
    rotated_and_killed(fresh_database, many=1500, kills=1, at_once="10")


@pytest.mark.slow
def test_a_hundred_thousand_rows_go_under_a_new_key(fresh_database: str) -> None:
    rotated_and_killed(fresh_database, many=100_000, kills=3, at_once="500")


@pytest.mark.slow
def test_a_key_that_rows_need_cannot_be_left_out(fresh_database: str) -> None:
    script = f"""
boot("{K2}")  # there is no such table yet
use("{K1}")
fill(30)
boot("{K2},{K1}")
boot("")
boot("{K2}")
status()
{ROTATE}
use("{K3},{K1}")
{ROTATE}
{ROTATE}
boot("{K3}")
with db.engine.connect() as connection:
    print(connection.execute(select(ENTRY.c.act, ENTRY.c.body)).all())
"""
    *told, last, acts = in_process(fresh_database, script, K1)
    needs = "leaves out what is needed: 30 rows of test_secrets.answer need k1"
    lost = "test_secrets.answer: 30 rows under k1, which is not there"
    assert told == [
        *("boots", "boots"),
        *[f"{{'ENCRYPTION_KEYS': ['{needs}']}}"] * 2,
        f"1 k2: the newest|{lost}|Error: 30 rows need a key that ENCRYPTION_KEYS leaves out",
        "Rotated(rows=0, unreadable=30)",
        "Rotated(rows=30, unreadable=0)",
        "Rotated(rows=0, unreadable=0)",
    ]
    assert last == "boots"
    assert acts == """[('keys_rotated', '{"key":"k3"}')]""", "only where any was done"
