"""A secret in each setting that can hold one: none of them is ever seen again."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import requests
from sqlalchemy.engine import make_url

from payment_service import config
from payment_service.config import kinds
from payment_service.config.callers import SOURCES
from payment_service.config.providers import TOGETHER
from tests import five
from tests.books import execute
from tests.canaries import Watch
from tests.certificates import a_certificate
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.own_process import printed
from tests.patience import PATIENCE
from tests.running_service import running_service
from tests.sandbox_server import Sandbox

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
    id(kinds.HEADERS): f"authorization={CANARY}",
    id(kinds.DATABASE_URL): f"postgresql://u:{CANARY}@{NOBODY}/d",
}
SHAPED = {"stripe_api_key": f"sk_test_{CANARY}"}
"""Those that must look like themselves."""


def each_secret() -> dict[str, str]:
    """A value with a canary for each setting that may hold a secret, but for the database's."""
    return {
        field.name.upper(): SHAPED.get(field.name, VALUES[id(field.metadata["kind"])])
        for field in dataclasses.fields(config.Settings)
        if field.metadata["kind"].metadata.get("secret")
        and field.name not in ("database_url", *SOURCES[:-1])  # of these one may be set
    }


def companions(folder: Path) -> dict[str, str]:
    """What is no secret, and a provider needs beside its own."""
    cert, key = a_certificate(folder, "IP:127.0.0.1")
    kinds_of = {field.name: field.metadata["kind"] for field in dataclasses.fields(config.Settings)}
    found = {}
    for name in {name for together in TOGETHER.values() for name in together}:
        if kinds_of[name] is kinds.READABLE:
            found[name.upper()] = str(key if "key" in name else cert)
        elif not kinds_of[name].metadata.get("secret"):
            found[name.upper()] = "1234567890"
    return found


@pytest.mark.slow
def test_no_secret_is_seen_again(postgres_url: str, tmp_path: Path) -> None:
    password = str(make_url(postgres_url).password)
    env = each_secret() | companions(tmp_path)
    env["PUBLIC_URL"] = five.NOWHERE  # which payers are told
    assert len(env) > 8
    with running_service(tmp_path, database_url=postgres_url, **env) as service:
        service.start_worker()
        seen = [" ".join(psutil.Process(one.pid).cmdline()) for one in service.processes]
        seen += [" ".join(worker.cmdline()) for worker in service.web_workers()]
        bodies = [
            {"order_id": a_number(), "amount": "10.00", "method": "CASH"},
            {"order_id": a_number(), "amount": "10.00", "method": "CARD"},
            {"trip_id": a_number(), "method": "CARD"},
            *(
                an_order(amount=five.AMOUNT, provider=name, **way.order)
                for name, way in five.WAYS.items()
            ),
        ]
        for body in bodies:
            answer = service.post("/v1/payments/charge", body, headers={"Idempotency-Key": a_key()})
            seen += [answer.text, str(answer.headers)]
        for name in five.WAYS:
            answer = service.post(f"/v1/webhooks/{name}", {"of": "nobody"})
            assert answer.status_code == 400, answer.text
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


PAYER = {"name": f"{CANARY} Name", "email": f"{CANARY}@mail.example", "phone": "+46701740605"}


@pytest.mark.slow
def test_nothing_of_a_payer_is_seen_again(
    postgres_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Nor is the link by which the payer is sent on."""
    public, app = "https://pay.example", f"https://{CANARY.lower()}.example"
    env = {
        "SANDBOX_PROVIDER_URL": sandbox.url,
        "SECRET_KEY": CANARY * 4,
        "PUBLIC_URL": public,
        "RETURN_ORIGINS": app,
        "LOG_LEVEL": "DEBUG",
        "RESOLUTION_FIRST_LOOKUP_SECONDS": "0.2",
    }
    body = {"order_id": a_number(), "amount": "10.00", "payment_token": "tok_requires_action"}
    said = {"payer": PAYER, "return_url": f"{app}/{CANARY}", "channel": CANARY}
    with running_service(tmp_path, database_url=postgres_url, **env) as service:
        service.start_worker()
        key = {"Idempotency-Key": a_key()}
        answer = service.post("/v1/payments/charge", {**body, **said}, headers=key)
        assert answer.status_code == 202
        path = answer.json()["next_action"]["url"].removeprefix(public)
        service.get(f"{path}?name={CANARY}", allow_redirects=False)
        service.request("POST", f"{path}/return?name={CANARY}", data=PAYER)
        service.post("/v1/payments/charge", {**body, **said, "channel": "x"}, headers=key)
        service.post("/v1/payments/charge", {**body, "payer": PAYER | {"phone": "1"}})
        reference = answer.json()["transactions"][0]["reference"]
        requests.post(
            f"{sandbox.url}/sandbox/actions/{reference}",
            json={"outcome": "approve"},
            timeout=PATIENCE,
        )
        payment, deadline = f"/v1/payments/{answer.json()['payment_id']}", time.monotonic()
        while service.get(payment).json()["status"] != "SUCCESS":
            assert time.monotonic() < deadline + PATIENCE
            time.sleep(0.1)
        seen = [service.get(f"{payment}/events").text, service.get("/metrics").text]
        seen += [" ".join(psutil.Process(one.pid).cmdline()) for one in service.processes]
        seen.append(service.log.read_text())
    everything = "\n".join(seen)
    assert "/v1/pay/" in everything
    for secret in (CANARY, CANARY.lower(), PAYER["phone"], path.rsplit("/", 1)[1]):
        assert secret not in everything


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


def test_a_secret_that_is_seen_is_found(
    make_app: MakeApp, fresh_database: str, redis_url: str, tmp_path: Path
) -> None:
    """Wherever tests/conftest.py looks once all tests are done. (The password is a made-up one, or
    this test would fail the run.)"""
    secret = CANARY[::-1]
    watch, app = Watch(), make_app(database_url=fresh_database)
    watch.note({"metrics_token": secret, "jwt_secret": "short", "redis_url": "redis://:x@h"})
    watch.note_app(app)
    client = app.test_client()
    kept: Any = redis.Redis.from_url(redis_url)

    def look_everywhere(word: str) -> int:
        assert client.get("/health", headers={"X-Request-ID": word}).status_code == 200
        (tmp_path / "service.log").write_text(f"a line with {word}")
        (tmp_path / "secret-key").write_text(secret)
        kept.set(f"of {word}", "x")
        execute(app, "DELETE FROM log_in_tries")
        execute(
            app,
            "INSERT INTO log_in_tries (account, network, at, waits) VALUES (:word, '', now(), 0)",
            word=word,
        )
        watch.look("a test", word)
        watch.look_in_files(tmp_path)
        watch.look_in_database(fresh_database)
        watch.look_in_redis(redis_url)
        kept.delete(f"of {word}")
        found, watch.found = watch.found, []
        return len(found)

    assert look_everywhere("short") == 0
    assert look_everywhere(secret) == 5


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
