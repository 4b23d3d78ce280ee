"""APP_ENV=production: nothing unsafe starts, and all that is unsafe is told at once; what is
safe starts."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from payment_service import config
from payment_service.config import Settings, kinds, production
from tests.fixtures import IN_PRODUCTION
from tests.patience import PATIENCE
from tests.sandbox_server import ROOT

SAFE: dict[str, Any] = IN_PRODUCTION | {
    "database_url": "postgresql://payments:8f2c9d71@db.example.com/payments?sslmode=verify-full",
    "trip_service_url": "https://trips.example.com",
}
GOOD = SAFE["encryption_keys"]


def told(**changes: Any) -> list[str]:
    """The names of what is refused of a safe service with these changes."""
    _, faults = config.look(**SAFE | changes)
    return sorted(faults)


def test_what_is_safe_starts() -> None:
    assert told() == []


def test_development_takes_all_of_it() -> None:
    everything = {"app_env": "development", "secret_key": None, "flask_debug": True}
    assert told(**everything, database_url="postgresql://a@db.example.com/a") == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"secret_key": None}, "SECRET_KEY"),
        ({"secret_key": "Zq3v8Yk1rT0xB7nM5cW9eH2uJ6pLsD4"}, "SECRET_KEY"),
        ({"secret_key": "a" * 40}, "SECRET_KEY"),
        ({"secret_key": "change-me-or-production-will-not-start"}, "SECRET_KEY"),
        ({"secret_key": "your-secret-key-goes-here-0123456789"}, "SECRET_KEY"),
        ({"flask_debug": True}, "FLASK_DEBUG"),
        ({"jwt_issuer": None, "jwt_secret": "only-an-example-of-32-bytes-or-more"}, "JWT_SECRET"),
        ({"metrics_token": "only-an-example-of-a-token"}, "METRICS_TOKEN"),
        ({"metrics_token": None}, "METRICS_TOKEN"),
        ({"operator_sso_client_secret": "an-example"}, "OPERATOR_SSO_CLIENT_SECRET"),
        ({"encryption_keys": None}, "ENCRYPTION_KEYS"),
        ({"encryption_keys": f"k1:{'A' * 43}="}, "ENCRYPTION_KEYS"),
        ({"encryption_keys": f"{GOOD},k0:{'A' * 43}="}, "ENCRYPTION_KEYS"),
        ({"public_url": "http://payments.pay.svc"}, "PUBLIC_URL"),
        ({"provider_routes": "CASH=cash,CARD=cash>sandbox"}, "PROVIDER_ROUTES"),
        ({"provider_routes": "CARD:INR= sandbox"}, "PROVIDER_ROUTES"),
        ({"sandbox_provider_url": "https://sandbox.example.com"}, "SANDBOX_PROVIDER_URL"),
        *(
            (
                {"database_url": f"postgresql://payments{password}@127.0.0.1/payments"},
                "DATABASE_URL",
            )
            for password in ("", ":secret", ":payments", ":Password1", ":changeme", ":postgres")
        ),
        *(
            ({"database_url": f"postgresql://payments:8f2c9d71@{place}"}, "DATABASE_URL")
            for place in (
                *("db.example.com/p", "db.example.com/p?sslmode=prefer", "10.0.0.7/p"),
                *("/p?host=db.example.com", "/p?host=127.0.0.1,db.example.com"),
                "cluster.local.example.com/p",
                *("db/p?hostaddr=203.0.113.9", "134744072/p", "0x08080808/p"),
            )
        ),
        (
            {"database_read_url": "postgresql://payments:8f2c9d71@db.example.com/p"},
            "DATABASE_READ_URL",
        ),
        *(
            ({"trip_service_url": f"http://{host}"}, "TRIP_SERVICE_URL")
            for host in ("trips.example.com", "10.0.0.7:80", "xcluster.local", "trips.svc.example")
        ),
    ],
)
def test_what_is_unsafe_is_told(changes: dict[str, Any], name: str) -> None:
    assert told(**changes) == [name]


def test_what_flask_takes_for_debugging_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "off")
    assert told() == ["FLASK_DEBUG"]


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "[::1]", "trips", "trips.pay.svc", "trips.pay.svc.cluster.local"],
)
def test_inside_nobody_else_listens(host: str) -> None:
    database = f"postgresql://payments:8f2c9d71@{host}/payments"
    assert told(trip_service_url=f"http://{host}", database_url=database) == []


def test_every_service_that_is_asked_over_http_is_looked_at() -> None:
    urls = [
        field.name
        for field in dataclasses.fields(Settings)
        if field.metadata["kind"] in (kinds.HTTP_URL, kinds.DOCUMENT_URL)
        and field.name != "sandbox_provider_url"
    ]
    assert len(urls) > 5
    assert told(**dict.fromkeys(urls, "http://there.example.com/x")) == sorted(map(str.upper, urls))


MISSING = {
    "DATABASE_URL",
    "ENCRYPTION_KEYS",
    "JWT_ISSUER",
    "METRICS_TOKEN",
    "SECRET_KEY",
    "PROVIDER_ROUTES",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("gunicorn", "-c", "gunicorn.conf.py", "payment_service:create_app()"),
        ("flask", "worker"),
    ],
)
def test_production_with_an_empty_environment(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={"APP_ENV": "production", "FLASK_APP": "payment_service", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("  ")]
    assert {line.split(":")[0].strip() for line in lines} == MISSING
    assert "Traceback" not in done.stderr


def test_every_refusal_is_in_the_documentation() -> None:
    text = (Path(ROOT) / "docs/security.md").read_text()
    for name in {refusal.name for refusal in production.REFUSALS}:
        assert f"`{name}`" in text
