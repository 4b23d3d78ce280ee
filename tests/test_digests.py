"""The daily digest: written once, and by it shows what the chains can't."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from payment_service import seeding
from payment_service.extensions import db
from payment_service.services import audit_reading, digests, worker
from tests.books import at_once, execute, row
from tests.fixtures import MakeApp
from tests.histories import MOST
from tests.own_process import printed
from tests.sisters import Make, apps_on, give_back, pay

ALL = ("deliveries", "events", "refunds", "transactions", "payments")
LINE = re.compile(r"\S+T00:00:00.000000Z \d+ payments \d+ acts sha256:[0-9a-f]{64}")


@pytest.fixture
def make(fresh_database: str, make_app: MakeApp) -> Make:
    return apps_on(fresh_database, make_app)


def audit(app: Flask, *arguments: str, code: int = 0) -> str:
    result = app.test_cli_runner().invoke(args=["audit", *arguments])
    assert result.exit_code == code, result.output
    return str(result.output)


def kept(app: Flask, file: Path) -> str:
    """Appends the digest as of now, and gives its line. The next event comes later than that."""
    now = row(app, "SELECT clock_timestamp() AS now")["now"]
    with app.app_context():
        line = str(digests.digest(until=now))
    with file.open("a") as opened:
        opened.write(f"{line}\n")
    return line


def removed(app: Flask, payment_id: int) -> None:
    """As whoever owns the tables can: nothing of the payment is left."""
    execute(app, "ALTER TABLE events DISABLE TRIGGER events_are_append_only")
    for table in ALL:
        execute(app, f"DELETE FROM {table} WHERE payment_id = :id", id=payment_id)


def test_a_payment_that_was_removed_whole_is_shown_by_a_file_of_digests(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_reading, "CHUNK", 2)
    app, file = make(), tmp_path / "digests"
    empty = kept(app, file)
    for _ in range(3):
        pay(app)
    first = kept(app, file)
    payment = pay(app)
    second = kept(app, file)
    give_back(app, payment)
    kept(app, file)
    pay(app)
    assert " 0 payments " in empty and " 3 payments " in first and " 4 payments " in second
    fits = "every row and chain fits"
    assert fits in audit(app, "verify", "--against", str(file))

    removed(app, payment)
    assert fits in audit(app, "verify")
    kept(app, file)
    out = audit(app, "verify", "--against", str(file), code=1)
    assert len(out.splitlines()) == 1, "the line after it says no more, and the last fits"
    since, until = first.split()[0], second.split()[0]
    assert f"line 3: it does not fit any more. Of what was written after {since} and until" in out
    assert f"until {until} something was changed or removed; there were 4 payments 0 acts, " in out
    assert "and there are 3 payments 0 acts" in out


def test_an_end_that_was_rewritten_with_the_rows_is_shown(make: Make, tmp_path: Path) -> None:
    app, file = make(), tmp_path / "digests"
    payment = pay(app)
    before = row(app, "SELECT * FROM payments")
    kept(app, file)
    give_back(app, payment)
    kept(app, file)
    execute(app, "ALTER TABLE events DISABLE TRIGGER events_are_append_only")
    execute(app, "DELETE FROM events WHERE seq > :version", version=before["version"])
    execute(app, "DELETE FROM refunds")
    execute(app, "DELETE FROM transactions WHERE number > 1")
    execute(
        app,
        "UPDATE payments SET status = :status, refunded = 0, version = :version,"
        " audit_head = :audit_head, updated_at = :updated_at, completed_at = :completed_at",
        **{name: before[name] for name in ("status", "version", "audit_head", "updated_at")},
        completed_at=before["completed_at"],
    )
    audit(app, "verify")
    out = audit(app, "verify", "--against", str(file), code=1)
    assert "line 2: it does not fit any more" in out
    assert "there were 1 payments 0 acts, and there are 1 payments 0 acts" in out


def test_an_imported_payment_is_in_the_digest_from_its_import_on(
    make: Make, tmp_path: Path
) -> None:
    app, file, history = make(), tmp_path / "digests", tmp_path / "history.csv"
    history.write_text(
        "payment_id,trip_id,amount,method,status,reference,created_at\n"
        "1,32,85.80,CARD,SUCCESS,OLD-1,2024-01-02\n"
    )
    kept(app, file)
    with app.app_context():
        seeding.import_payments(
            db.engine, path=history, currency="INR", max_amount=MOST, timezone="UTC", progress=False
        )
    assert " 1 payments " in kept(app, file)
    audit(app, "verify", "--against", str(file))
    execute(app, "UPDATE import_seals SET content = replace(content, '8580', '9580')")
    execute(app, "UPDATE payments SET amount = 9580, authorized = 9580, captured = 9580")
    audit(app, "verify")
    assert "line 2: it does not fit" in audit(app, "verify", "--against", str(file), code=1)


def test_a_line_that_is_no_digest_is_named(make: Make, tmp_path: Path) -> None:
    app, file = make(), tmp_path / "digests"
    file.write_text("\n2026-01-02T00:00:00Z 1 payments\n")
    out = audit(app, "verify", "--against", str(file), code=1)
    assert "line 2: it is no digest's line" in out
    file.write_bytes(b"\xff\n")
    assert "can't be read" in audit(app, "verify", "--against", str(file), code=1)
    audit(app, "verify", "--against", str(file), "--payment", "1", code=2)


def run(app: Flask) -> int:
    with app.app_context():
        return digests.run_once()["digests"]


@pytest.fixture
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """No new day's digest is due in the middle of a test, at whatever time that runs."""
    now = datetime.now(UTC)
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
    monkeypatch.setattr(digests, "SETTLED", now - noon)


@pytest.mark.usefixtures("at_noon")
def test_workers_write_it_once_a_day(make: Make, tmp_path: Path) -> None:
    """However many, and however often they are started again."""
    file = tmp_path / "digests"
    file.write_text("an older line\n")
    apps = [make(audit_digest_path=str(file)) for _ in range(4)]
    pay(apps[0])
    assert sorted(at_once([lambda app=app: run(app) for app in apps])) == [0, 0, 0, 1]
    assert run(make(audit_digest_path=str(file))) == 0
    older, line = file.read_text().splitlines()
    assert older == "an older line" and LINE.fullmatch(line)
    written = row(apps[0], "SELECT * FROM audit_digests")
    assert f"{written['payments']} payments 0 acts sha256:{written['sha256']}" in line
    assert audit(apps[0], "digest", "--until", f"{line[:19]}Z").strip() == line
    yesterday = "UPDATE audit_digests SET until = until - interval '1 day'"
    execute(apps[0], yesterday)
    assert [run(apps[0]), run(apps[1])] == [1, 0]


def test_it_is_of_the_last_midnight_and_an_hour_old(make: Make) -> None:
    app = make()
    assert run(app) == 1
    until = row(app, "SELECT until FROM audit_digests")["until"]
    waited = datetime.now(UTC) - until
    assert timedelta(hours=1) <= waited < timedelta(hours=25, minutes=1)


@pytest.mark.usefixtures("at_noon")
def test_what_a_killed_worker_left_is_taken_up(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "away" / "digests"
    file.mkdir(parents=True)
    app = make(audit_digest_path=str(file))
    [beat] = [beat for beat in worker.BEATS if beat.name == "audit-digest"]
    assert worker.step(app, beat) == {}, "it could not be written, and so it is not done"
    file.rmdir()
    assert run(app) == 0, "its lease still holds"
    execute(app, "UPDATE audit_digests SET leased_until = now() - interval '1 s'")
    assert run(app) == 1
    assert len(file.read_text().splitlines()) == 1


@pytest.mark.slow
def test_the_log_has_the_line_too(fresh_database: str, tmp_path: Path) -> None:
    script = """
from payment_service.services import digests
with app.app_context():
    digests.run_once()
"""
    file = tmp_path / "digests"
    (line,) = printed(script, DATABASE_URL=fresh_database, AUDIT_DIGEST_PATH=str(file))
    logged = json.loads(line)
    assert (logged["event"], logged["level"]) == ("audit_digest", "info")
    assert logged["line"] + "\n" == file.read_text()
