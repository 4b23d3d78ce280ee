"""The database restarts under a running service: the next request is served."""

from __future__ import annotations

from typing import Any, ClassVar

import psycopg2
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, event, text

from payment_service.config import load
from payment_service.extensions import db
from payment_service.statements import Disconnected, Statement
from tests.fixtures import MakeApp, a_key, an_order
from tests.sandbox_calls import eventually


def _cut_all(url: str) -> None:
    """Ends every session of the database, as a restart does."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )
        )
        others = text(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        eventually(lambda: not connection.execute(others).scalar_one())
    engine.dispose()


def test_charges_and_reads_go_on(make_app: MakeApp, client: FlaskClient, charge: Any) -> None:
    url = load(database_url=client.application.config["SQLALCHEMY_DATABASE_URI"]).database_url
    made = charge()
    assert made.status_code == 201
    assert client.get("/health/ready").status_code == 200
    _cut_all(url)
    assert charge().status_code == 201
    assert client.get(f"/v1/payments/{made.json['payment_id']}").status_code == 200
    assert client.get("/health/ready").json["dependencies"]["database"] == "UP"


class _BreaksOff:
    """A connection to a server that ends while its answer comes in, as psycopg2 shows it then."""

    info: ClassVar[dict[str, bool]] = {"find_key": True}

    def cursor(self) -> _BreaksOff:
        return self

    def __enter__(self) -> _BreaksOff:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def execute(self, *asked: object) -> None:
        raise psycopg2.DatabaseError("server closed the connection unexpectedly")


def test_a_connection_that_breaks_off_is_no_internal_error(app: Flask) -> None:
    """Seen under `pg_ctl stop -m immediate`: neither OperationalError nor any other subclass."""
    with app.app_context(), pytest.raises(Disconnected):
        Statement("any", "SELECT 1", {}).one(_BreaksOff(), {})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [psycopg2.DatabaseError, psycopg2.OperationalError])
def test_nor_is_one_that_breaks_off_while_it_is_made(
    make_app: MakeApp, kind: type[Exception]
) -> None:
    """SQLAlchemy asks a new connection for its types, and lets what comes of that through."""
    app = make_app()

    def breaks_off(*_: Any) -> None:
        raise kind("server closed the connection unexpectedly")

    with app.app_context():
        for engine in db.engines.values():
            event.listen(engine, "connect", breaks_off)
    client = app.test_client()
    body = {**an_order(), "idempotency_key": a_key()}
    for answer in (client.post("/v1/payments/charge", json=body), client.get("/v1/payments/1")):
        assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
