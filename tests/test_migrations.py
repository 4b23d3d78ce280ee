"""Migrations: numbered, up, down and up again, the models' equal; none waits long for locks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import event, text

from payment_service.extensions import db
from payment_service.version import SCHEMA
from tests.fixtures import MakeApp

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "migrations"


@pytest.fixture
def app_on(make_app: MakeApp) -> Callable[[str], Flask]:
    """An app on a database of the test's own."""

    def make(url: str) -> Flask:
        return make_app(database_url=url)

    return make


@pytest.fixture
def bare(app_on: Callable[[str], Flask], bare_database: str) -> Iterator[Flask]:
    """An app on a database without tables, its connections closed at the end."""
    app = app_on(bare_database)
    with app.app_context():
        yield app
        for engine in db.engines.values():
            engine.dispose()


# What a dump would hold and autogenerate does not look at.
_OBJECTS = """
    SELECT 'column', table_name || '.' || column_name, data_type || is_nullable
        || coalesce(column_default, '') || coalesce(generation_expression, '')
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger
    WHERE NOT tgisinternal
    UNION ALL SELECT 'function', proname, prosrc FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'storage', relname, reloptions::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL
    ORDER BY 1, 2, 3
"""


def objects() -> list[Any]:
    """All that stands in the database, but for Alembic's own table."""
    with db.engine.connect() as connection:
        return [row for row in connection.execute(text(_OBJECTS)) if "alembic" not in row[1]]


def test_up_down_and_up_again(bare: Flask) -> None:
    upgrade(str(FOLDER))
    first = objects()
    assert len(first) > 100
    downgrade(str(FOLDER), revision="base")
    assert objects() == []
    upgrade(str(FOLDER))
    assert objects() == first


def test_each_migration_can_be_taken_back_alone(bare: Flask) -> None:
    stood = []
    for revision in revisions():
        stood.append(objects())
        upgrade(str(FOLDER), revision=revision)
    for before in reversed(stood):
        downgrade(str(FOLDER), revision="-1")
        assert objects() == before


def test_code_without_its_migrations_is_not_ready(bare: Flask) -> None:
    """So that a pod which starts before them gets no requests that would fail."""
    ours = revisions()
    assert ours[-1] == SCHEMA
    client = bare.test_client()
    for revision, found in ((None, "none"), (ours[-2], ours[-2])):
        if revision is not None:
            upgrade(str(FOLDER), revision=revision)
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.json["status"]) == (503, "DOWN")
        assert answer.json["dependencies"]["database"] == "UP"
        assert answer.json["dependencies"]["schema"] == "DOWN"
        assert answer.json["warnings"] == [
            f"the database is at migration {found} and needs {SCHEMA}: flask db upgrade"
        ]
    upgrade(str(FOLDER))
    assert client.get("/health/ready").status_code == 200


def test_a_newer_schema_is_good_enough(bare: Flask) -> None:
    """While the next version comes in, this one serves on, and starts anew where a pod dies."""
    upgrade(str(FOLDER))
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    answer = bare.test_client().get("/health/ready")
    assert answer.status_code == 200
    assert "schema" not in answer.json["dependencies"]


# Said of every generated column, changed or not; the test below compares how they are generated.
@pytest.mark.filterwarnings("ignore:Computed default on:UserWarning")
def test_the_migrations_make_what_the_models_say(bare: Flask) -> None:
    upgrade(str(FOLDER))
    with db.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, db.metadata) == []


def test_the_models_make_what_the_migrations_say(bare: Flask) -> None:
    """Autogenerate looks at no CHECK and at no predicate of an index; this does."""
    upgrade(str(FOLDER))
    by_migrations = guards()
    downgrade(str(FOLDER), revision="base")
    db.metadata.create_all(db.engine)
    assert guards() == by_migrations


def guards() -> list[Any]:
    """What models and migrations both say; triggers and vacuuming stand in migrations only."""
    return [row for row in objects() if row[0] in ("column", "index", "constraint")]


def test_a_migration_gives_up_on_a_lock_soon(bare: Flask) -> None:
    """While somebody holds a table, the requests that queue behind a migration wait too."""
    upgrade(str(FOLDER))
    seen = []

    def watch(_: Any, cursor: Any, statement: str, *args: Any) -> None:
        if "DROP TABLE" in statement:
            cursor.execute("SHOW lock_timeout")
            seen.append(cursor.fetchone()[0])

    event.listen(db.engine, "before_cursor_execute", watch)
    downgrade(str(FOLDER), revision="base")
    event.remove(db.engine, "before_cursor_execute", watch)
    assert seen
    assert all(re.fullmatch("[1-9]s", timeout) for timeout in seen)


IMPORTED = """
    INSERT INTO payments (payment_id, amount, currency, method, provider, status, reference, caller,
                          created_at, updated_at)
    SELECT n, 8580, 'INR', 'CARD', :provider, 'FAILED', 'OLD-' || n, :caller, now(), now()
    FROM generate_series(CAST(:first AS bigint), :last) AS n
"""
"""What the code of before 0004 writes, which knows no column for it."""


def test_history_is_marked_whoever_imported_it(bare: Flask) -> None:
    """More than one step of the migration's, what was taken over since, and what the code before
    imports while ours runs already."""

    def write(first: int, last: int, provider: str, caller: str) -> None:
        values = {"first": first, "last": last, "provider": provider, "caller": caller}
        with db.engine.begin() as connection:
            connection.execute(text(IMPORTED), values)

    upgrade(str(FOLDER), revision="0003")
    write(1, 20_010, "import", "import")
    write(20_011, 20_012, "sandbox", "import")
    write(20_013, 20_014, "sandbox", "local")
    upgrade(str(FOLDER))
    write(20_015, 20_016, "import", "import")
    write(20_017, 20_018, "sandbox", "local")
    query = "SELECT payment_id FROM payments WHERE NOT imported ORDER BY 1"
    with db.engine.connect() as connection:
        ours = list(connection.execute(text(query)).scalars())
    assert ours == [20_013, 20_014, 20_017, 20_018]


def revisions() -> list[str]:
    script = ScriptDirectory(str(FOLDER))
    return [revision.revision for revision in reversed(list(script.walk_revisions()))]


def test_migrations_are_numbered_and_in_one_line() -> None:
    found = revisions()
    assert found == [f"{number:04d}" for number in range(1, len(found) + 1)]
    files = sorted(path.name for path in (FOLDER / "versions").glob("*.py"))
    assert [name[:4] for name in files] == found
    assert ScriptDirectory(str(FOLDER)).get_heads() == [found[-1]]
