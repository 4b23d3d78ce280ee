"""Acts of the replaced database come back as far as their chain can be believed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import create_engine, insert

from payment_service.domain.acts import Act
from payment_service.extensions import db
from payment_service.models import AuditEntry
from payment_service.services import audit, audit_entries, audit_log
from payment_service.services.returning_acts import bring_acts_back
from tests.books import execute, rows
from tests.fixtures import MakeApp

ALL = "SELECT * FROM audit_log ORDER BY audit_id"


@pytest.fixture
def replaced(database_of_module: str, make_app: MakeApp) -> Iterator[Flask]:
    """The app on a database with five acts."""
    app = make_app(database_url=database_of_module, redis_url=None)
    execute(app, "ALTER TABLE audit_log DISABLE TRIGGER audit_log_is_append_only")
    execute(app, "DELETE FROM audit_log")
    with app.app_context():
        for number in range(1, 6):
            audit_log.write(actor="operator:7", act=Act.LOGGED_IN, object=f"operator:{number}")
            db.session.commit()
    yield app


@pytest.fixture
def restored(fresh_database: str, make_app: MakeApp) -> Flask:
    return make_app(database_url=fresh_database, redis_url=None)


def backed_up(replaced: Flask, restored: Flask, count: int) -> None:
    """The restored database has the first of the acts."""
    with restored.app_context(), db.engine.begin() as connection:
        for row in rows(replaced, ALL)[:count]:
            connection.execute(insert(AuditEntry).values(**row))


def brought_back(replaced: Flask, restored: Flask) -> tuple[int, str | None]:
    with replaced.app_context():
        engine = create_engine(db.engine.url, isolation_level="AUTOCOMMIT")
    with restored.app_context(), engine.connect() as there:
        done = bring_acts_back(there)
        assert audit.verify().broken == ()
    engine.dispose()
    return done


@pytest.mark.parametrize("count", [0, 2, 5])
def test_those_since_the_backup_come_back(
    replaced: Flask, restored: Flask, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_entries, "CHUNK", 2)
    backed_up(replaced, restored, count)
    assert brought_back(replaced, restored) == (5 - count, None)
    assert rows(restored, ALL) == rows(replaced, ALL)
    assert brought_back(replaced, restored) == (0, None)


def test_those_that_their_chain_belies_do_not(replaced: Flask, restored: Flask) -> None:
    """Those before them do."""
    backed_up(replaced, restored, 2)
    execute(replaced, "UPDATE audit_log SET actor = 'operator:8' WHERE audit_id = 4")
    came, why = brought_back(replaced, restored)
    assert came == 1 and why is not None and why.startswith("act 4 in audit_log: its chain")
    assert rows(restored, ALL) == rows(replaced, ALL)[:3]


@pytest.mark.parametrize(
    "deed",
    [
        "DELETE FROM audit_log",
        "DELETE FROM audit_log WHERE audit_id > 1",
        "UPDATE audit_log SET chain = set_byte(chain, 31, get_byte(chain, 31) # 1)"
        " WHERE audit_id = 2",
    ],
)
def test_another_past_does_not(replaced: Flask, restored: Flask, deed: str) -> None:
    backed_up(replaced, restored, 2)
    stood = rows(restored, ALL)
    execute(replaced, deed)
    why = "it does not go on from that of the backup"
    assert brought_back(replaced, restored) == (0, why)
    assert rows(restored, ALL) == stood


def test_of_older_tables_nothing_is_asked(replaced: Flask, restored: Flask) -> None:
    execute(replaced, "ALTER TABLE audit_log RENAME TO later")
    try:
        assert brought_back(replaced, restored) == (0, None)
    finally:
        execute(replaced, "ALTER TABLE later RENAME TO audit_log")
