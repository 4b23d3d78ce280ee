"""Each act that there is today is written down with what it does, or neither is done."""

from __future__ import annotations

import json
import os
import pwd
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from payment_service.cli.caller import system_user
from payment_service.config import settings
from payment_service.domain.callers import Caller
from payment_service.domain.commands import SetStatus
from payment_service.domain.vocabulary import Actor, PaymentStatus
from payment_service.extensions import db
from payment_service.services import audit, settling, starting
from tests.books import a_pending_payment, at_once, execute, payment_row, row, rows
from tests.fixtures import MakeApp
from tests.patience import PATIENCE
from tests.running_service import running_service
from tests.sandbox_server import Sandbox
from tests.sisters import Make, apps_on, pay, urls

ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
AWAY = "postgresql+psycopg2://u:p@127.0.0.1:9/none"


@pytest.fixture
def make(fresh_database: str, make_app: MakeApp) -> Make:
    return apps_on(fresh_database, make_app)


@pytest.fixture
def owing(make: Make, sandbox: Sandbox) -> tuple[Flask, int]:
    """An app with one delivery to the order service that failed, and its payment."""
    app = make(**urls(sandbox, "order"))
    payment = pay(app)
    execute(app, "UPDATE deliveries SET attempts = 3, parked_at = now()")
    return app, payment


def run(app: Flask, *arguments: str, code: int = 0) -> str:
    result = app.test_cli_runner().invoke(args=list(arguments))
    assert result.exit_code == code, result.output
    return str(result.output)


def acts(app: Flask) -> list[dict[str, Any]]:
    return rows(app, "SELECT * FROM audit_log ORDER BY audit_id")


def told(found: dict[str, Any]) -> tuple[Any, ...]:
    body = json.loads(found["body"]) if found["body"] else None
    return found["actor"], found["act"], found["object"], found["reason"], body


# -- deliveries


def test_who_delivers_anew_is_written_down(owing: tuple[Flask, int]) -> None:
    app, payment = owing
    run(app, "outbox", "deliver", "--payment", str(payment))
    which = {"sink": None, "payment_id": payment, "seq": None, "count": 1}
    assert [told(found) for found in acts(app)] == [(ME, "deliveries_delivered", None, None, which)]
    run(app, "outbox", "deliver", "--payment", str(payment))
    assert len(acts(app)) == 1, "nothing was to be done"


def test_who_skips_is_written_down_with_the_reason(owing: tuple[Flask, int]) -> None:
    app, _ = owing
    run(app, "outbox", "skip", "--sink", "order", "--reason", "told by telephone")
    which = {"sink": "order", "payment_id": None, "seq": None, "count": 1}
    assert [told(found) for found in acts(app)] == [
        (ME, "deliveries_skipped", None, "told by telephone", which)
    ]
    run(app, "outbox", "skip", "--all", "--reason", "once more")
    assert len(acts(app)) == 1


@pytest.mark.parametrize("command", ["deliver --all", "skip --all --reason x"])
def test_what_can_not_be_written_down_is_not_done(owing: tuple[Flask, int], command: str) -> None:
    app, _ = owing
    before = row(app, "SELECT * FROM deliveries")
    execute(app, "ALTER TABLE audit_log RENAME TO gone")
    result = app.test_cli_runner().invoke(args=["outbox", *command.split()])
    assert result.exit_code != 0
    assert row(app, "SELECT * FROM deliveries") == before


def test_the_user_is_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody-else")
    assert system_user().name == ME
    monkeypatch.setattr(os, "getuid", lambda: 4_242_424)
    assert system_user().name == "cli:4242424", "a container's user may have no name"


# -- the catalog


def test_who_loads_the_catalog_is_written_down(make: Make) -> None:
    app = make()
    run(app, "seed", "--no-demo")
    assert [told(found) for found in acts(app)] == [
        (ME, "catalog_edited", None, None, {"offers_added": 52})
    ]
    run(app, "seed", "--no-demo")
    assert len(acts(app)) == 1, "nothing was missing"


# -- settings at the start


def start(app: Flask, process: str = "web", since: datetime | None = None) -> bool:
    with app.app_context():
        return starting.write_down(process=process, started=since or datetime.now(UTC))


def test_settings_are_written_down_as_a_hash(make: Make) -> None:
    app = make(secret_key="sesame" * 6)
    assert start(app)
    [found] = acts(app)
    with app.app_context():
        assert found["object"] == starting.fingerprint(settings())
    assert (found["actor"], found["act"]) == ("web", "settings_at_start")
    assert found["object"].startswith("settings:") and len(found["object"]) == 9 + 32
    assert "sesame" not in str(found)


def test_every_setting_is_in_the_hash(make: Make) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"secret_key": "sesame" * 6},
        {"event_signing_secret": "sesame" * 6},
        {"circuit_fail_max": 6},
        {"jwt_scope_claims": ("scope",)},
    ]
    found = set()
    for change in changes:
        with make(**change).app_context():
            found |= {starting.fingerprint(settings()), starting.fingerprint(settings())}
    assert len(found) == len(changes)


def test_a_start_is_written_down_once(make: Make) -> None:
    """By whichever of its workers comes first, and not for each replica."""
    app, other = make(), make(max_amount=5)
    begun = datetime.now(UTC)
    assert sorted(at_once([lambda: start(app, since=begun)] * 8)) == [False] * 7 + [True]
    later = begun + timedelta(minutes=50)
    assert not start(app, since=later), "another replica, or a worker that took one's place"
    assert start(other, since=later), "its settings are others"
    assert not start(app, since=later), "however the replicas take turns"
    assert start(app, "worker", since=later)
    assert start(app, since=begun + timedelta(minutes=70)), "a start of its own"
    assert len(acts(app)) == 4


@pytest.mark.slow
def test_a_start_waits_for_nothing(make: Make, make_app: MakeApp) -> None:
    """No database, no tables, and somebody who holds the chain."""
    app = make()
    assert not start(make_app(database_url=AWAY))
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(7102394512)"))
        assert not start(app)
    execute(app, "ALTER TABLE audit_log RENAME TO gone")
    assert not start(app)


@pytest.mark.slow
def test_gunicorn_writes_it_down_once_for_all_its_workers(
    fresh_database: str, make: Make, tmp_path: Path
) -> None:
    app = make()
    env = {"WEB_WORKERS": "2"}
    with running_service(tmp_path, database_url=fresh_database, **env) as service:
        deadline = time.monotonic() + PATIENCE
        while len(service.web_workers()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        killed = service.web_workers()[0]
        killed.kill()
        while killed in service.web_workers() or len(service.web_workers()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        service.start_worker()
        while len(acts(app)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    found = acts(app)
    assert [one["actor"] for one in found] == ["web", "worker"]
    assert found[0]["object"] == found[1]["object"]


# -- money: the payment's own events


def test_an_operators_session_and_address_are_kept_with_the_event(make: Make) -> None:
    """And told to nobody: sister services hear the body."""
    app = make()
    payment = a_pending_payment(app.test_client(), method="CASH")["payment_id"]
    operator = Caller(
        "operator:7", Actor.OPERATOR, request_id="r-1", session_id=31, address="192.0.2.4"
    )
    with app.app_context():
        settling.set_status(
            payment_id=payment, command=SetStatus(status=PaymentStatus.SUCCESS), caller=operator
        )
    assert payment_row(app, payment)["status"] == "SUCCESS"
    created, settled = rows(app, "SELECT * FROM events ORDER BY seq")
    assert json.loads(settled["snapshot"])["by"] == {"session_id": 31, "address": "192.0.2.4"}
    assert json.loads(settled["body"])["data"]["caller"] == "operator:7"
    assert "192.0.2.4" not in settled["body"]
    assert "by" not in json.loads(created["snapshot"])
    with app.app_context():
        assert audit.verify().broken == ()
    execute(app, "ALTER TABLE events DISABLE TRIGGER events_are_append_only")
    execute(app, "UPDATE events SET snapshot = replace(snapshot, '192.0.2.4', '192.0.2.5')")
    with app.app_context():
        [broken] = audit.verify().broken
    assert broken.column == "chain"
