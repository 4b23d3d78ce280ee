"""A secret in each setting that can hold one: none of them is ever seen again."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import psutil
import pytest
from sqlalchemy.engine import make_url

from payment_service import config
from payment_service.config import kinds
from payment_service.config.callers import SOURCES
from tests.fixtures import a_key, a_number
from tests.own_process import printed
from tests.patience import PATIENCE
from tests.running_service import running_service

NOBODY = "127.0.0.1:9"
CANARY = "canary5Gq0"
VALUES = {
    id(kinds.HTTP_URL): f"http://u:{CANARY}@{NOBODY}",
    id(kinds.REDIS_URL): f"redis://:{CANARY}@{NOBODY}/0",
    id(kinds.RABBITMQ_URL): f"amqp://u:{CANARY}@{NOBODY}/",
    id(kinds.SECRET): CANARY * 4,
    id(kinds.LONG_SECRET): CANARY * 4,
    id(kinds.VISIBLE_SECRET): CANARY * 4,
    id(kinds.ENCRYPTION_KEYS): f"k1:{CANARY * 4}AAA=",
    id(kinds.PASSWORD): CANARY * 4,
}


def each_secret() -> dict[str, str]:
    """A value with a canary for each setting that may hold a secret, but for the database's."""
    return {
        field.name.upper(): VALUES[id(field.metadata["kind"])]
        for field in dataclasses.fields(config.Settings)
        if field.metadata["kind"].metadata.get("secret")
        and field.name not in ("database_url", *SOURCES[:-1])  # of these one may be set
    }


@pytest.mark.slow
def test_no_secret_is_seen_again(postgres_url: str, tmp_path: Path) -> None:
    password = str(make_url(postgres_url).password)
    env = each_secret()
    assert len(env) > 8
    with running_service(tmp_path, database_url=postgres_url, **env) as service:
        service.start_worker()
        seen = [" ".join(psutil.Process(one.pid).cmdline()) for one in service.processes]
        seen += [" ".join(worker.cmdline()) for worker in service.web_workers()]
        bodies = [
            {"order_id": a_number(), "amount": "10.00", "method": "CASH"},
            {"order_id": a_number(), "amount": "10.00", "method": "CARD"},
            {"trip_id": a_number(), "method": "CARD"},
        ]
        for body in bodies:
            answer = service.post("/v1/payments/charge", body, headers={"Idempotency-Key": a_key()})
            seen += [answer.text, str(answer.headers)]
        paths = ("/health", "/health/ready", "/metrics", "/openapi.json", "/v1/payments", "/none")
        for path in paths:
            answer = service.get(path)
            seen += [answer.text, str(answer.headers)]
        deadline = time.monotonic() + PATIENCE
        # The worker tries to tell the services of the payments, and can't.
        while "sink_fails" not in service.log.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        seen.append(service.log.read_text())
    everything = "\n".join(seen)
    assert "provider" in everything
    assert CANARY not in everything
    assert password not in everything


UNSIGNED = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AAAA"
"""A token of a key that nobody has: the keys are asked for."""


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES[:3])
def test_a_source_of_keys_that_is_away_shows_no_secret(source: str, postgres_url: str) -> None:
    """Of these one may be set; each is an address, which may have a password in it."""
    url = VALUES[id(kinds.HTTP_URL)]
    script = f"""
answer = client.get("/v1/payments", headers={{"Authorization": "Bearer {UNSIGNED}"}})
print(answer.status_code, answer.text, answer.headers)
print(client.get("/health").text, client.get("/health/ready").text)
print(app.extensions["settings"], app.extensions["tokens"])
"""
    env = {source.upper(): url, "AUTH_MODE": "jwt", "DATABASE_URL": postgres_url}
    told = "\n".join(printed(script, **env))
    assert "keys_not_fetched" in told and "503" in told
    assert CANARY not in told


def test_the_settings_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    of_keys = {source.upper(): VALUES[id(kinds.HTTP_URL)] for source in SOURCES[:3]}
    parts = {"DB_PASS": CANARY, "REDIS_PASSWORD": CANARY}
    for name, value in (each_secret() | of_keys | parts).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("DB_HOST", "db")
    found = config.load()
    assert CANARY in found.database_url
    assert CANARY not in repr(found)
    assert "trip_timeout_seconds=3.0" in repr(found)
