"""The database restarts under a running service: the next request is served."""

from __future__ import annotations

import time
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import create_engine, text

from payment_service.config import load
from tests.fixtures import MakeApp


def _cut_all(url: str) -> None:
    """Ends every session of the database, as a restart does."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        others = text(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        deadline = time.monotonic() + 10
        while connection.execute(others).scalar_one():
            assert time.monotonic() < deadline
            time.sleep(0.02)
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
