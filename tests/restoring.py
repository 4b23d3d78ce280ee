"""A service on a database of its own, of which a backup is taken and brought back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.engine import make_url

from payment_service import config, create_app
from payment_service.extensions import HOT, db
from scripts import databases, db_backup
from tests.books import post
from tests.fixtures import a_number
from tests.running_service import ENCRYPTION_KEYS
from tests.sandbox_server import Sandbox, running_sandbox


def connect(url: str, database: str | None = None) -> Any:
    """A connection in AUTOCOMMIT to the URL's database, or to another on its server."""
    place = make_url(url).set(drivername="postgresql")
    place = place.set(database=database or place.database)
    connection = psycopg2.connect(place.render_as_string(hide_password=False))
    connection.autocommit = True
    return connection


def query(url: str, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
    """The rows of a statement, none if it gives none."""
    connection = connect(url, database)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


@dataclass
class House:
    """The service, its database and its provider. `kept` is what restores left behind."""

    url: str
    sandbox: Sandbox
    folder: Path
    app: Flask
    kept: list[str] = field(default_factory=list)

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def rows(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        return query(self.url, statement, database)

    def leave(self) -> None:
        """Lets go of every connection, as a service that is stopped."""
        with self.app.app_context():
            db.engine.dispose()
            db.engines[HOT].dispose()

    def backup(self) -> Path:
        return db_backup.save(self.folder)

    def restore(self, file: Path, *, force: bool = False) -> str:
        """Brings it back; the name under which the replaced database is kept."""
        if not force:
            self.leave()
        self.kept.append(db_backup.restore(file, folder=self.folder, force=force))
        return self.kept[-1]

    def run(self, *command: str) -> Any:
        """A flask command of the service, in this process."""
        return self.app.test_cli_runner().invoke(args=command)


@contextmanager
def house_on(
    url: str, sandbox: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    """The service on this database, whose own commands and the scripts find it there too."""
    for name, value in databases.client_variables(url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", databases.with_programs({**os.environ, "DATABASE_URL": url})["PATH"])
    for name in ("SANDBOX_PROVIDER_URL", "TRIP_SERVICE_URL", "ORDER_SERVICE_URL"):
        monkeypatch.setenv(name, sandbox.url)
    # Not found is believed after these, and a look-up that found nothing new comes soon again.
    monkeypatch.setenv("RESOLUTION_FIRST_LOOKUP_SECONDS", "0.1")
    monkeypatch.setenv("ENCRYPTION_KEYS", ENCRYPTION_KEYS)
    app = create_app(config.load(database_url=url, log_level="ERROR"))
    app.testing = True
    found = House(url, sandbox, folder, app)
    try:
        yield found
    finally:
        found.leave()
        for name in found.kept:
            with suppress(psycopg2.errors.InsufficientPrivilege):  # autovacuum is at work there
                query(url, f'DROP DATABASE "{name}" WITH (FORCE)', "postgres")


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox that knows no other test's charges."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def house(
    fresh_database: str, provider: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    with house_on(fresh_database, provider, tmp_path, monkeypatch) as found:
        yield found


def a_hold(house: House) -> Any:
    """Holds 100.00 INR for an order of its own; what was answered."""
    answer = post(house.client, "/v1/payments/charge", order_id=a_number(), amount="100.00",
                  method="CARD", capture=False)  # fmt: skip
    assert answer.status_code == 201
    return answer.json
