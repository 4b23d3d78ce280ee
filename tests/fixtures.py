"""The app in this process, its client and its sandbox; plain functions that make test data."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import secrets
import string
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, text

from payment_service import config, create_app, patient_redis
from payment_service.config import ByProvider
from payment_service.extensions import db
from payment_service.ratelimit import hits
from payment_service.services import beats  # noqa: F401  (before a test adds a provider: none beats)
from tests.canaries import WATCH
from tests.patience import CLOCKLESS, PATIENCE, UNHURRIED
from tests.running_service import APP, ENCRYPTION_KEYS, Service, running_service
from tests.sandbox_calls import emptied, sandbox_with_trips
from tests.sandbox_server import Sandbox, running_sandbox

# Of twelve digits: one of thirteen may be a card's, which is refused in free text and in paths.
_numbers = itertools.count(10**11 + int.from_bytes(os.urandom(4)) * 100)

MakeApp = Callable[..., Flask]

AS_SERVED = patient_redis.REDIS_PATIENCE

OWN_OF_PROVIDERS = {
    field.name
    for field in dataclasses.fields(config.Settings)
    if isinstance(field.metadata["default"], ByProvider)
}


IN_PRODUCTION: dict[str, Any] = {
    "app_env": "production",
    "secret_key": "Zq3v8Yk1rT0xB7nM5cW9eH2uJ6pLsD4g",
    "encryption_keys": ENCRYPTION_KEYS,
    "provider_routes": "CASH=cash",
    "sandbox_provider_url": None,
    "trip_service_url": None,
    "metrics_token": "kQ7wZ2nX5vB8mC1p",
}
"""What an app must be given to start in production, beside the suite's database."""


@pytest.fixture(scope="session", autouse=True)
def redis_is_waited_for() -> Iterator[None]:
    """The service counts in memory after half a second of silence. Where counts are to be exact, a
    machine that is busy for so long would make them wrong."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (patient_redis, hits):
            patch.setattr(module, "REDIS_PATIENCE", PATIENCE)
        yield


@pytest.fixture
def redis_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a Redis that is silent: apps that are made now wait for it as the service does."""
    for module in (patient_redis, hits):
        monkeypatch.setattr(module, "REDIS_PATIENCE", AS_SERVED)


def a_number() -> int:
    """A trip or order id that no other test has."""
    return next(_numbers)


def a_key() -> str:
    """An idempotency key that no other request has. Letters only: among digits there would be a
    card number now and then, which is refused where tokens are made of keys."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(14))


def an_order(**changes: Any) -> dict[str, Any]:
    """The body of a charge of 100.00 INR by card for an order of its own."""
    return {"order_id": a_number(), "amount": "100.00", "method": "CARD"} | changes


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """This xdist worker's sandbox; tests share it, so use trips, orders and tokens of your own."""
    directory = tmp_path_factory.mktemp("sandbox")
    kept = {"SANDBOX_REQUESTS": str(directory / "requests.jsonl")}
    with running_sandbox(directory, **kept) as running:
        yield running


@pytest.fixture(scope="module")
def sandbox_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox that no other module asks, and that knows trips 32 and 33."""
    with sandbox_with_trips(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def empty_sandbox(sandbox_of_module: Sandbox) -> Sandbox:
    """The module's sandbox, holding nothing but its trips."""
    return emptied(sandbox_of_module)


@pytest.fixture(scope="session")
def make_app(postgres_url: str, redis_url: str, sandbox: Sandbox) -> MakeApp:
    """Makes apps on this worker's database and sandbox; keyword arguments change settings. They
    don't time out because the machine is busy. A plain value for what each provider may have its
    own of holds for all."""

    def make(**changes: Any) -> Flask:
        given = UNHURRIED | {
            "database_url": postgres_url,
            "redis_url": redis_url,
            "trip_service_url": sandbox.url,
            "sandbox_provider_url": sandbox.url,
            "log_level": "ERROR",
            "secret_key": IN_PRODUCTION["secret_key"],
            "encryption_keys": ENCRYPTION_KEYS,
            "rate_limit_default": "1000000 per second",  # tests are rider 101 more often than that
        }
        given |= changes
        for name in OWN_OF_PROVIDERS & given.keys():
            if not isinstance(given[name], ByProvider):
                given[name] = ByProvider(given[name])
        app = create_app(config.load(**given))
        WATCH.note_app(app)
        app.testing = True
        app.config["PROPAGATE_EXCEPTIONS"] = False
        return app

    return make


@pytest.fixture(scope="session")
def app(make_app: MakeApp) -> Flask:
    """The app with its default settings."""
    return make_app()


@pytest.fixture(scope="session")
def clockless_app(make_app: MakeApp) -> Flask:
    """The app in which nothing is due by itself: a test says when time has passed."""
    return make_app(**CLOCKLESS)


StartService = Callable[..., Service]


@pytest.fixture(scope="module")
def start_service(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str, sandbox: Sandbox
) -> Iterator[StartService]:
    """Starts services under gunicorn, on this worker's database, Redis and sandbox, which live as
    long as the module's tests; keyword arguments change their environment."""
    with contextlib.ExitStack() as services:

        def start(*, app: str = APP, **env: str) -> Service:
            given = {
                "REDIS_URL": redis_url,
                "SANDBOX_PROVIDER_URL": sandbox.url,
                "TRIP_SERVICE_URL": sandbox.url,
                "WEB_WORKERS": "1",
                "LOG_LEVEL": "WARNING",
            }
            directory = tmp_path_factory.mktemp("service")
            running = running_service(directory, database_url=postgres_url, app=app, **given | env)
            return services.enter_context(running)

        yield start


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def connection(app: Flask) -> Iterator[Connection]:
    """A connection of the app's, in a transaction that is rolled back."""
    with app.app_context(), db.engine.connect() as connected:
        yield connected


@pytest.fixture
def scalar(app: Flask) -> Callable[..., Any]:
    """Runs a query that has one value."""

    def run(query: str, **values: Any) -> Any:
        with app.app_context(), db.engine.connect() as connected:
            return connected.execute(text(query), values).scalar_one()

    return run


@pytest.fixture
def charge(client: FlaskClient) -> Callable[..., Any]:
    """Charges an order of its own; keyword arguments change the body."""

    def run(key: str | None = None, **changes: Any) -> Any:
        headers = {"Idempotency-Key": key or a_key()}
        return client.post("/v1/payments/charge", json=an_order(**changes), headers=headers)

    return run
