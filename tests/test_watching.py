"""What panels and alerts need beside the totals: in /metrics, of a real database."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection, text

from payment_service import http
from payment_service.extensions import HOT, db
from payment_service.services import beats, log_ins, totals, watching
from payment_service.services.beats import BeatStanding, Written
from payment_service.services.moves import resolution
from payment_service.telemetry.process_metrics import of_group
from scripts import databases
from tests.books import a_charged_payment, execute, post
from tests.fixtures import MakeApp, a_key, an_order
from tests.sandbox_calls import arm
from tests.sandbox_server import ROOT, Sandbox, reserved_port

BACKUP = "payment_service_backup_last_success_timestamp_seconds"
SILENT = "payment_service_worker_beat_silent"


@pytest.fixture
def own(make_app: MakeApp, fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setattr(watching, "KNOWN_SECONDS", 0.0)
    return make_app(database_url=fresh_database)


def told(app: Flask) -> dict[str, dict[tuple[str, ...], float]]:
    """The samples of one scrape, by name and labels' values."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(app.test_client().get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_beats_are_told_by_name_and_silence_is_seen(own: Flask) -> None:
    before = told(own)
    assert before[SILENT].keys() == {(beat,) for beat in beats.PERIODS}
    assert set(before[SILENT].values()) == {1.0}
    with own.app_context():
        Written("totals").note({}, None)
    after = told(own)
    assert after[SILENT]["totals",] == 0.0
    assert after[SILENT]["expiry",] == 1.0
    last = after["payment_service_worker_beat_timestamp_seconds"]
    assert last["totals",] == pytest.approx(time.time(), abs=60)
    assert last["expiry",] == 0.0


def test_the_size_of_the_database_is_told(own: Flask) -> None:
    assert told(own)["payment_service_database_size_bytes"][()] > 5_000_000


def test_disputes_that_have_not_ended_are_told(own: Flask) -> None:
    payment = a_charged_payment(own.test_client())["payment_id"]
    for number, (status, hours) in enumerate(
        [("NEEDS_RESPONSE", 71), ("NEEDS_RESPONSE", 73), ("UNDER_REVIEW", 1), ("WON", 1)]
    ):
        execute(
            own,
            "INSERT INTO disputes (payment_id, provider, provider_dispute_id, kind, status, reason,"
            " amount, currency, evidence_due_at, opened_at, created_at, updated_at)"
            " VALUES (:payment, 'stripe', :theirs, 'CHARGEBACK', :status, 'fraudulent', 1050,"
            " 'INR', now() + make_interval(hours => :hours), now(), now(), now())",
            payment=payment, theirs=f"dp_{number}", status=status, hours=hours,
        )  # fmt: skip
    found, whose = told(own), ("INR", "stripe")
    assert found["disputes_open"][whose] == 3
    assert found["dispute_amount"][whose] == 31.5
    assert found["disputes_due_soon"][whose] == 1


def test_a_backup_is_noted_and_told(own: Flask, fresh_database: str, tmp_path: Path) -> None:
    assert told(own)[BACKUP][()] == 0.0
    code = "import sys; from pathlib import Path; from scripts import db_backup; "
    code += "db_backup.save.__defaults__ = (Path(sys.argv[1]),); sys.exit(db_backup.main(['save']))"
    env = databases.with_programs(os.environ) | databases.client_variables(fresh_database)
    command = [sys.executable, "-c", code, str(tmp_path / "backups")]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "not noted" not in done.stdout
    assert told(own)[BACKUP][()] == pytest.approx(time.time(), abs=120)
    assert ("backup",) not in told(own)[SILENT], "it is no beat of the worker's"


def test_a_broken_chain_is_told(own: Flask) -> None:
    """As the walk of an operator's job leaves it."""
    assert told(own)["payment_service_audit_chain_broken"][()] == 0.0
    execute(
        own,
        "INSERT INTO jobs (job_id, kind, state, what, asked_by, created_at, ended_at)"
        " OVERRIDING SYSTEM VALUE VALUES (1, 'VERIFY', 'ENDED', '{}', 'x', now(), now())",
    )
    execute(
        own,
        "INSERT INTO job_items (job_id, key, number, state, due_at, ended_at, error)"
        " VALUES (1, 'everything', 1, 'FAILED', now(), now(), 'payment 1, event 2: changed')",
    )
    assert told(own)["payment_service_audit_chain_broken"][()] == 1.0


def test_what_takes_too_long_is_not_told_and_that_is(
    own: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is its own: whatever else a connection may be given, which is longer."""
    assert told(own)["payment_service_watched"][()] == 1.0
    monkeypatch.setattr(watching, "PATIENCE", "50ms")
    given: list[str] = []
    reads = beats.read

    def notes_its_time(*, connection: Connection) -> list[BeatStanding]:
        given.append(connection.scalar(text("SHOW statement_timeout")))
        return reads(connection=connection)

    monkeypatch.setattr(beats, "read", notes_its_time)
    with own.app_context(), db.engine.connect() as connection:
        connection.execute(text("LOCK TABLE worker_beats IN ACCESS EXCLUSIVE MODE"))
        found = told(own)
    assert given == ["50ms"]
    assert found["payment_service_watched"][()] == 0.0
    assert SILENT not in found
    assert "payments_by_status" in found


def test_it_is_asked_once_in_some_seconds(own: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "KNOWN_SECONDS", 60.0)
    first = told(own)
    with own.app_context():
        Written("totals").note({}, None)
    assert told(own)[SILENT] == first[SILENT]
    until, _ = own.extensions["watched"]
    assert until == pytest.approx(time.monotonic() + 60, abs=30)


def test_statements_and_pools_are_measured(own: Flask) -> None:
    """Through SQLAlchemy, and through the cursor of the charge path."""
    seconds, in_use = (
        "payment_service_database_query_seconds_count",
        "payment_service_database_pool_connections_in_use",
    )
    before = told(own)
    with own.app_context(), db.engine.connect() as connection:
        for _ in range(50):
            connection.execute(text("SELECT 1"))
        with db.engines[HOT].connect():
            held = told(own)
    assert held[seconds][()] >= before[seconds][()] + 50
    # The scrape itself holds one more of the ordinary ones, or has just given it back.
    assert held[in_use]["ordinary",] >= 1.0
    assert held[in_use][HOT,] == 1.0
    assert told(own)[in_use][HOT,] == 0.0
    with own.app_context():
        most = db.engine.pool.size()  # type: ignore[attr-defined]
    assert held["payment_service_database_pool_connections_max"][HOT,] == most


def test_the_oldest_unresolved_has_its_age(own: Flask, sandbox: Sandbox) -> None:
    assert told(own)["payments_unresolved_oldest_age_seconds"][()] == 0.0
    token = a_key()
    arm(sandbox, "charge", "do_and_lose_answer", match={"token": token})
    answer = post(own.test_client(), "/v1/payments/charge", **an_order(payment_token=token))
    assert answer.status_code == 202
    assert told(own)["payments_unresolved_oldest_age_seconds"][()] == 0.0, "it is not late yet"
    execute(own, "UPDATE transactions SET created_at = created_at - interval '2000 s'")
    found = told(own)["payments_unresolved_oldest_age_seconds"][()]
    assert found == pytest.approx(2000, abs=100)


def test_look_ups_and_log_ins_that_were_refused_are_counted(own: Flask, sandbox: Sandbox) -> None:
    looked, refused = "payment_service_lookups_total", "payment_service_log_ins_refused_total"
    before = told(own)
    token = a_key()
    arm(sandbox, "charge", "do_and_lose_answer", match={"token": token})
    post(own.test_client(), "/v1/payments/charge", **an_order(payment_token=token))
    execute(own, "UPDATE transactions SET due_at = now() - interval '1 s'")
    with own.app_context():
        resolution.run_once("sandbox")
        log_ins.by_password(email="a@example.org", password="wrong", address="::1", agent="x")
    after = told(own)
    approved = ("APPROVED", "sandbox")  # in the order of the labels' names
    assert after[looked][approved] == before.get(looked, {}).get(approved, 0) + 1
    assert after[refused]["password",] == before.get(refused, {}).get(("password",), 0) + 1


def test_a_read_that_is_repeated_is_counted(own: Flask) -> None:
    name = "payment_service_reads_repeated_total"
    before = told(own).get(name, {}).get(("127.0.0.1",), 0)
    with reserved_port() as nobody, pytest.raises(http.Unreachable):
        http.get(f"http://127.0.0.1:{nobody.getsockname()[1]}/x", timeout=1)
    assert told(own)[name]["127.0.0.1",] == before + 1


def test_payments_that_succeeded_are_counted_by_currency(own: Flask) -> None:
    name = "payments_succeeded_total"
    before = told(own).get(name, {}).get(("INR",), 0)
    assert post(own.test_client(), "/v1/payments/charge", **an_order()).status_code == 201
    with own.app_context():
        totals.run_once()
    assert told(own)[name]["INR",] == before + 1


def test_processes_of_the_group_are_added_up(tmp_path: Path) -> None:
    """A name may have blanks and brackets in it, and another group is not ours."""
    for pid, name, group in ((1, "a) R (b", 7), (2, "plain", 7), (3, "other", 8)):
        fields = ["S", "1", str(group), *["0"] * 8, "100", "50", "20", "30"]
        fields += [*["0"] * 6, "10", "0"]
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    found = list(of_group(7, tmp_path))
    assert len(found) == 2
    assert found[0].cpu_seconds == 200 / os.sysconf("SC_CLK_TCK")
    assert found[0].resident_bytes == 10 * os.sysconf("SC_PAGE_SIZE")


def test_this_process_is_told(own: Flask) -> None:
    found = told(own)
    assert found["process_cpu_seconds_total"][()] > 0.1
    assert found["process_resident_memory_bytes"][()] > 10_000_000
    assert found["payment_service_processes"][()] >= 1
    assert timedelta(seconds=found["process_cpu_seconds_total"][()]) < timedelta(days=1)
