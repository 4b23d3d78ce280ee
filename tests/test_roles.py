"""scripts/roles.sql on a migrated database: the service works under a role that can't change what
was written down, and who only reads sees nothing secret."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from flask import Flask
from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege
from sqlalchemy import LargeBinary
from sqlalchemy.engine import URL, make_url

from payment_service import embedded
from payment_service.domain.operators import Role
from payment_service.extensions import db
from payment_service.models.columns import Encrypted
from payment_service.services import starting, worker
from tests.books import a_charged_payment, execute, payments_of, post, row
from tests.database_roles import SUPERUSER, apply, as_role, let_in
from tests.desk import Desk, a_code_may_come_again
from tests.fixtures import MakeApp, a_number
from tests.hooked import an_app, an_event, pending, register, tell
from tests.sandbox_server import ROOT, Sandbox

pytestmark = pytest.mark.slow

TABLES = db.metadata.tables
CHAINS = {("events", "chain"), ("audit_log", "chain"), ("payments", "audit_head")}
"""Hashes that tell nothing, and that auditors look at."""

DELETED_AS = {
    "STATE": "used_states",
    "TRY": "log_in_tries",
    "VIEW": "saved_views",
    "WEBHOOK": "webhooks",
}


@dataclass(frozen=True)
class House:
    """A database with its roles; `url` is that of the role by its name."""

    database: URL
    names: dict[str, str]

    def url(self, role: str) -> str:
        name = self.names.get(role, role)
        return self.database.set(username=name).render_as_string(hide_password=False)

    def ask(self, role: str, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
        """Runs it as that role, and commits."""
        connection = psycopg2.connect(as_role(self.database, self.names.get(role, role)))
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def forget(self) -> None:
        """Roles are the whole server's, and whoever is in keeps the database from being dropped."""
        self.ask(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY(%s)",
            [*self.names.values()],
        )
        owner = sql.Identifier(self.database.username or "")
        for name in map(sql.Identifier, self.names.values()):
            for statement in ("REASSIGN OWNED BY {} TO {}", "DROP OWNED BY {}", "DROP ROLE {}"):
                self.ask("postgres", sql.SQL(statement).format(name, owner))


@pytest.fixture(scope="module")
def house(database_of_module: str) -> Iterator[House]:
    """The roles' names are this run's own, and their passwords the server's."""
    url, own = make_url(database_of_module), secrets.token_hex(4)
    try:
        psycopg2.connect(as_role(url, SUPERUSER)).close()
    except psycopg2.OperationalError:
        pytest.skip("on the server of TEST_DATABASE_URL we can't be superuser")
    roles = {role: f"test_{own}_{role}" for role in ("owner", "app", "readonly")}
    found = House(url, roles)
    try:
        apply(url, names=roles)
        let_in(url, names=roles)
        apply(url, roles["owner"], names=roles)
        yield found
    finally:
        found.forget()


@pytest.fixture(scope="module")
def service(house: House, make_app: MakeApp) -> Flask:
    return make_app(database_url=house.url("app"), db_prepare=False)


def append_only(house: House) -> set[str]:
    refused = "SELECT tgrelid::regclass FROM pg_trigger WHERE tgfoid = 'refuse_change'::regproc"
    return {str(name) for (name,) in house.ask("postgres", refused)}


def may(house: House, role: str, right: str) -> set[str]:
    """The tables on which a role has a right as a whole."""
    found = house.ask(
        "postgres",
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p') AND has_table_privilege(%s, oid, %s)",
        house.names[role],
        right,
    )
    return {name for (name,) in found}


def test_what_the_service_may(house: House) -> None:
    kept = append_only(house)
    assert kept >= {"events", "audit_log", "payment_notes"}
    every = {*TABLES, "alembic_version"}
    assert may(house, "app", "SELECT") == every
    assert may(house, "app", "INSERT") == {*TABLES}
    fixed = kept | {"transactions", "contradictions", "import_seals"}
    assert may(house, "app", "UPDATE") == TABLES.keys() - fixed
    assert may(house, "app", "DELETE") == deleted()
    for right in ("TRUNCATE", "TRIGGER", "REFERENCES"):
        assert not may(house, "app", right)


def deleted() -> set[str]:
    """The tables that the code deletes from, in SQL's words and in SQLAlchemy's."""
    package = ROOT / "payment_service"
    files = [package / "idempotency.py"]
    for part in ("services", "outbox", "admin", "api", "cli"):
        files += (package / part).rglob("*.py")
    text = "\n".join(file.read_text() for file in files)
    said = {*re.findall(r"DELETE FROM (\w+)", text)}
    built = {*re.findall(r"\bdelete(?:_from)?\(([A-Z]+)\)", text)}
    built |= {*re.findall(r"\b([A-Z]+)\.delete\(\)", text)}
    return said | {DELETED_AS[name] for name in built}


@pytest.mark.parametrize("table", ["events", "audit_log", "payment_notes", "transactions"])
def test_what_was_written_down_stays(house: House, service: Flask, table: str) -> None:
    a_charged_payment(service.test_client())
    change = {"events": "type", "audit_log": "actor", "payment_notes": "text"}
    for statement in (
        f"UPDATE {table} SET {change.get(table, 'reference')} = 'x'",
        f"DELETE FROM {table}",
        f"TRUNCATE {table} CASCADE",
        f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        f"DROP TABLE {table} CASCADE",
    ):
        with pytest.raises(InsufficientPrivilege, match=r"permission denied|must be owner"):
            house.ask("app", statement)
    with pytest.raises(InsufficientPrivilege, match="permission denied for schema public"):
        house.ask("app", "CREATE TABLE mine (n int)")


def test_who_only_reads_sees_nothing_secret(house: House) -> None:
    found = house.ask(
        "postgres",
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0"
        " AND NOT attisdropped AND has_column_privilege(%s, c.oid, attnum, 'SELECT')",
        house.names["readonly"],
    )
    seen = set(found)
    secret = {
        (table.name, column.name)
        for table in TABLES.values()
        for column in table.columns
        if isinstance(column.type, Encrypted | LargeBinary)
        or re.search(r"hash|secret|token|address|email", column.name)
    }
    assert secret & seen == CHAINS | {("webhook_refusals", "hash")}
    assert ("payments", "amount") in seen and ("events", "type") in seen
    house.ask("readonly", "SELECT status, sum(amount) FROM payments GROUP BY status")
    for statement in ("SELECT * FROM operators", "SELECT token_hash FROM operator_sessions"):
        with pytest.raises(InsufficientPrivilege):
            house.ask("readonly", statement)
    house.ask("readonly", "SET default_transaction_read_only = off")
    for right in ("INSERT", "UPDATE", "DELETE", "TRUNCATE"):
        assert not may(house, "readonly", right)


def test_the_service_works_as_its_role(service: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    client = service.test_client()
    paid = a_charged_payment(client)
    refunded = post(client, f"/v1/payments/{paid['payment_id']}/refund", amount="40.00")
    assert refunded.status_code == 200, refunded.json
    body = {"order_id": a_number(), "amount": "70.00", "method": "CARD", "capture": False}
    for act in ("capture", "cancel"):
        held = post(client, "/v1/payments/charge", **body | {"order_id": a_number()}).json
        done = post(client, f"/v1/payments/{held['payment_id']}/{act}")
        assert done.status_code == 200, done.json
    (stands,) = payments_of(service, payment_id=paid["payment_id"])
    assert (stands["captured"], stands["refunded"]) == (10000, 4000)
    old = "created_at - interval '1 year'"
    execute(service, f"UPDATE idempotency_keys SET expires_at = {old}, locked_until = {old}")
    for name, run_once in worker.RUNS.items():
        with service.app_context():
            assert isinstance(run_once(), dict), name
    assert row(service, "SELECT count(*) AS keys FROM idempotency_keys") == {"keys": 0}
    with service.app_context():
        assert starting.write_down(process="web", started=datetime.now(UTC))
        # The role brings the limits that are not asked for at connect.
        starting.look_at_database()
    assert "database_waits_without_end" not in capsys.readouterr().out


def test_operators_log_in_and_act(service: Flask) -> None:
    paid = a_charged_payment(service.test_client())
    desk = Desk(service).join(Role.ADMIN)
    desk.set_up()
    a_code_may_come_again(desk)
    desk.post("/admin/logout", "/admin/me")
    assert desk.log_in().status_code == 303
    assert desk.post("/admin/second-factor", code=desk.code()).status_code == 303
    page = f"/admin/payments/{paid['payment_id']}"
    found = re.search(r'name="form_key" value="([^"]+)"', desk.get(page).text)
    assert found
    noted = desk.post(f"{page}/notes", page, text="asked the rider", form_key=found.group(1))
    assert noted.status_code == 303
    assert "asked the rider" in desk.get(page).text


def test_a_webhook_moves_its_payment(
    house: House, make_app: MakeApp, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(sandbox, monkeypatch)
    client = an_app(make_app, sandbox, database_url=house.url("app")).test_client()
    payment = pending(client, provider="signed")
    assert tell(client, an_event(f"{payment['reference']}-1")).status_code == 202
    assert client.get(f"/v1/payments/{payment['payment_id']}").json["status"] == "SUCCESS"


@pytest.mark.parametrize("role", ["owner", "app"])
def test_a_backup_needs_no_more(house: House, tmp_path: Path, role: str) -> None:
    address = as_role(house.database, house.names[role])
    command = [embedded.bin_dir() / "pg_dump", "--format=custom", f"--file={tmp_path / 'dump'}"]
    done = subprocess.run([*command, address], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(InsufficientPrivilege):
        house.ask("readonly", "LOCK TABLE operator_sessions IN ACCESS SHARE MODE")


def test_the_owner_ends_the_services_sessions(house: House, service: Flask) -> None:
    """As a restore does that is forced."""
    a_charged_payment(service.test_client())
    ended = house.ask(
        "owner",
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s",
        house.names["app"],
    )
    assert ended and all(found for (found,) in ended)
    a_charged_payment(service.test_client())


def test_migrations_are_the_owners(house: House) -> None:
    def upgrade(role: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flask", "--app", "payment_service", "db"]
        environment = {**os.environ, "DATABASE_URL": house.url(role)}
        for step in ("downgrade", "upgrade"):
            done = subprocess.run(
                [*command, step], env=environment, cwd=ROOT, capture_output=True, text=True
            )
            if done.returncode:
                break
        return done

    refused = upgrade("app")
    assert refused.returncode and "must be owner of" in refused.stdout + refused.stderr
    done = upgrade("owner")
    assert done.returncode == 0, done.stderr
    house.ask("owner", "CREATE TABLE later (n int GENERATED ALWAYS AS IDENTITY, m int)")
    house.ask("app", "INSERT INTO later (m) VALUES (1)")
    house.ask("app", "UPDATE later SET m = 2")
    for role, statement in (("app", "DELETE FROM later"), ("readonly", "SELECT FROM later")):
        with pytest.raises(InsufficientPrivilege):
            house.ask(role, statement)
    given = [f"--set={role}={name}" for role, name in house.names.items()]
    environment = {**os.environ, "DATABASE_URL": house.url("owner")}
    command = [sys.executable, "-m", "scripts.roles", *given]  # as the migrate Job does
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    house.ask("readonly", "SELECT m FROM later")
    house.ask("owner", "DROP TABLE later")
