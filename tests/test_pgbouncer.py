"""Behind a real PgBouncer in transaction mode: with fewer connections than the service has threads,
and with none to spare."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
from flask import Flask
from psycopg2 import sql
from sqlalchemy.engine import make_url

from payment_service import pooler
from payment_service.domain.operators import Role
from payment_service.extensions import db
from payment_service.services import starting, worker
from tests import database_roles
from tests.books import a_charged_payment, at_provider, payments_of, post
from tests.campaign.stage import Stage
from tests.desk import Desk, a_code_may_come_again
from tests.drills.scene import Playing
from tests.drills.stages import DrillStage
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.patience import PATIENCE
from tests.pgbouncer_server import Bouncer, installed, running_pgbouncer
from tests.running_service import running_service
from tests.sandbox_server import ROOT, Sandbox

pytestmark = pytest.mark.slow

BACKENDS = 3
"""Each process of the service has pools of thirty."""
ASKED = 250
"""Requests of the callers that come at once, each with its retries."""


@pytest.fixture
def one_backend(tmp_path: Path, fresh_database: str) -> Iterator[Bouncer]:
    """Whoever needs a second connection while he holds one waits for himself."""
    with running_pgbouncer(tmp_path / "pgbouncer", fresh_database, 1) as bouncer:
        yield bouncer


@pytest.fixture
def behind_it(one_backend: Bouncer, make_app: MakeApp) -> Flask:
    return make_app(database_url=one_backend.url, db_prepare=False)


def test_payments_need_one_connection_at_a_time(behind_it: Flask, sandbox: Sandbox) -> None:
    client = behind_it.test_client()
    paid = a_charged_payment(client)
    assert len(at_provider(sandbox, "charges", paid["reference"])) == 1
    refunded = post(client, f"/v1/payments/{paid['payment_id']}/refund", amount="40.00")
    assert refunded.status_code == 200, refunded.json
    body = {"order_id": a_number(), "amount": "70.00", "method": "CARD", "capture": False}
    held = post(client, "/v1/payments/charge", **body).json
    assert post(client, f"/v1/payments/{held['payment_id']}/capture").status_code in (200, 201)
    for path in ("", f"/{paid['payment_id']}", f"/{paid['payment_id']}/events"):
        assert client.get(f"/v1/payments{path}").status_code == 200
    (stands,) = payments_of(behind_it, payment_id=paid["payment_id"])
    assert (stands["captured"], stands["refunded"]) == (10000, 4000)


def test_each_beat_needs_one_connection_at_a_time(behind_it: Flask) -> None:
    a_charged_payment(behind_it.test_client())
    did = {}
    for name, run_once in worker.RUNS.items():
        with behind_it.app_context():
            did[name] = run_once()
    assert any(did["totals"].values()), did


def test_the_panel_needs_one_connection_at_a_time(behind_it: Flask) -> None:
    paid = a_charged_payment(behind_it.test_client())
    desk = Desk(behind_it).join(Role.ADMIN)
    desk.set_up()
    a_code_may_come_again(desk)
    desk.post("/admin/logout", "/admin/me")
    assert not desk.is_in()
    assert desk.log_in().status_code == 303
    assert desk.post("/admin/second-factor", code=desk.code()).status_code == 303
    pages = [f"/admin/payments/{paid['payment_id']}", "/admin/me", "/admin/payments.csv"]
    for rule in behind_it.url_map.iter_rules():
        if rule.rule.startswith("/admin") and not rule.arguments and "GET" in (rule.methods or ()):
            pages.append(rule.rule)
    for page in pages:
        answer = desk.get(page)
        assert answer.status_code < 500, f"{page}: {answer.text[-300:]}"
    assert desk.is_in()


class PoolerStage(DrillStage):
    """The service and its workers reach the database by PgBouncer only, under a role that owns
    nothing; what the drill itself looks at, and the migrations, go past it."""

    bouncer: Bouncer | None = None

    def start_web(self) -> None:
        if self.bouncer is None:
            self.give_rights()
            database = make_url(self.database_url)
            database_roles.let_in(database)
            own = database.set(username=database_roles.NAMES["app"])
            url = own.render_as_string(hide_password=False)
            self.bouncer = Bouncer(self.directory / "pgbouncer", installed(), url, BACKENDS)
            self.bouncer.start()
            self.env |= {"DATABASE_URL": self.bouncer.url, "DB_PREPARE": "false"}
        super().start_web()

    def give_rights(self) -> None:
        """The tables' owner stays who he is, for what the drill itself does."""
        database = make_url(self.database_url)
        names = database_roles.NAMES | {"owner": str(database.username)}
        database_roles.apply(database, names=names)

    def close(self) -> None:
        super().close()
        if self.bouncer is not None:
            self.bouncer.close()


def _backends(stage: Stage) -> int:
    """Connections that PgBouncer has open at the database; the drill's own are not told by name."""
    with stage.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'payment-service'"
        )
        return int(cursor.fetchone()[0])


def test_callers_at_once_pay_once(tmp_path: Path) -> None:
    """Two web workers and two `flask worker`s share three connections, and rights are given anew
    meanwhile; all invariants of the campaign hold at the end."""
    installed()
    stage = PoolerStage(tmp_path, print)
    with Playing(stage, print) as scene:
        scene.until_asked(ASKED // 2)
        stage.give_rights()
        scene.until_asked(ASKED // 2)
        left = scene.settled()
        outcome = scene.judged("pgbouncer")
        most = _backends(stage)
    assert not any(left.values()) and not outcome.broken, outcome
    assert outcome.payments > ASKED / 5 and most <= BACKENDS
    assert not scene.dropped()
    logs = "".join(log.read_text() for log in stage.directory.glob("*.log"))
    assert '"worker_started"' in logs and "database_waits_without_end" not in logs


Start = Callable[..., Bouncer]


@pytest.fixture
def start(tmp_path: Path, fresh_database: str) -> Iterator[Start]:
    """Starts a PgBouncer with enough connections for each of ours."""
    with contextlib.ExitStack() as stack:

        def run(**how: str) -> Bouncer:
            place = tmp_path / "pgbouncer"
            return stack.enter_context(running_pgbouncer(place, fresh_database, 60, **how))

        yield run


def said_by(bouncer: Bouncer, *command: str) -> str:
    """What a flask command says that must not go on through it."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "payment_service", *command],
        env={**os.environ, "DATABASE_URL": bouncer.url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def test_backups_go_past_it(one_backend: Bouncer, tmp_path: Path) -> None:
    """pg_dump would leave an empty search_path behind, with which nothing is found."""
    command = [sys.executable, "-m", "scripts.run", "--with-database", "--"]
    done = subprocess.run(
        [*command, sys.executable, "-m", "scripts.db_backup", "save"],
        env={**os.environ, "DATABASE_URL": one_backend.url, "VAR_DIR": str(tmp_path)}
        | {"REDIS_URL": os.environ["TEST_REDIS_URL"]},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "need the database's own address" in done.stderr, done.stderr


def test_who_gets_no_backend_is_told_so_and_charged_once(
    tmp_path: Path, fresh_database: str, make_app: MakeApp, sandbox: Sandbox
) -> None:
    """While all are taken, and while PgBouncer is away."""
    bouncer = Bouncer(tmp_path / "pgbouncer", installed(), fresh_database, 1)
    bouncer.waits = 1
    with contextlib.closing(bouncer):
        bouncer.start()
        app = make_app(database_url=bouncer.url, db_prepare=False)
        client, key, order = app.test_client(), a_key(), an_order()
        url = database_roles.as_role(make_url(bouncer.url), str(make_url(bouncer.url).username))
        with contextlib.closing(psycopg2.connect(url)) as taken:
            taken.cursor().execute("SELECT 1")
            assert client.get("/v1/payments").status_code == 503
            assert post(client, "/v1/payments/charge", key, **order).status_code == 503
        paid = post(client, "/v1/payments/charge", key, **order)
        assert paid.status_code == 201, paid.json
        bouncer.kill()
        assert client.get("/v1/payments").status_code == 503
        bouncer.start()
        again = post(client, "/v1/payments/charge", key, **order)
        assert again.json == paid.json
        assert len(at_provider(sandbox, "charges", paid.json["reference"])) == 1


@pytest.mark.parametrize("ignored", ["", "options"])
def test_with_prepared_statements_nothing_starts(
    start: Start, tmp_path: Path, ignored: str
) -> None:
    """Left to itself PgBouncer refuses our time limits. Told to ignore them, it would take all, and
    then prepared statements are not where they were, or another release's."""
    bouncer = start(ignored=ignored)
    with (
        pytest.raises(RuntimeError, match="DB_PREPARE: must be false behind a pooler"),
        running_service(tmp_path / "service", database_url=bouncer.url, WEB_WORKERS="1"),
    ):
        pass
    assert "DB_PREPARE: must be false behind a pooler" in said_by(bouncer, "worker")
    assert "not that of a pooler" in said_by(bouncer, "db", "upgrade")


def test_a_pooler_in_session_mode_is_as_good_as_none(start: Start, make_app: MakeApp) -> None:
    app = make_app(database_url=start(mode="session", ignored="options").url)
    with app.app_context():
        starting.look_at_database()
    a_charged_payment(app.test_client())


def test_without_a_pooler_none_is_seen(make_app: MakeApp, fresh_database: str) -> None:
    with make_app(database_url=fresh_database).app_context():
        assert not pooler.lends()


def test_a_wait_without_end_is_said(
    make_app: MakeApp, fresh_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Our limits don't go through it, so the role has to have them."""
    app = make_app(database_url=fresh_database, db_prepare=False, log_level="WARNING")
    with app.app_context():
        starting.look_at_database()
        assert "database_waits_without_end" in capsys.readouterr().out
        name = sql.Identifier(make_url(fresh_database).database or "")
        for limit in ("lock_timeout", "idle_in_transaction_session_timeout"):
            with db.engine.begin() as connection:
                text_of = f"ALTER DATABASE {{}} SET {limit} = '10s'"
                cursor = connection.connection.cursor()
                cursor.execute(sql.SQL(text_of).format(name))
        db.engine.dispose()
        starting.look_at_database()
        assert "database_waits_without_end" not in capsys.readouterr().out
