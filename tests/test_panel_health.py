"""The page of health: what is gone, since when, and what still works; beats; settings."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from flask import Flask
from redis.exceptions import ConnectionError as RedisDown

from payment_service.config.shown import not_secret
from payment_service.services import beats, health
from payment_service.services.beats import Written
from payment_service.services.moves.operations import providers
from tests.books import execute
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp
from tests.test_admin_pages import sign_of_a_page

GONE_REDIS = "redis://:hidden-pass@127.0.0.1:9/0"
GONE_BROKER = "amqp://guest:hidden-pass@127.0.0.1:9/"


@pytest.fixture(scope="module")
def own(make_app: MakeApp, database_of_module: str) -> Flask:
    return make_app(
        **KEYS, operator_mfa="optional", database_url=database_of_module, redis_url=None
    )


@pytest.fixture(scope="module")
def viewer(own: Flask) -> Desk:
    return Desk(own).join()


def row(page: str, name: str) -> str:
    (found,) = re.findall(rf'<tr><th scope="row"[^>]*>{name}</th>(.*?)</tr>', page, re.DOTALL)
    return str(found)


def all_beats_came(app: Flask) -> None:
    with app.app_context():
        for name in beats.PERIODS:
            Written(name).note({"done": 3}, None)


def test_all_is_well(own: Flask, viewer: Desk) -> None:
    all_beats_came(own)
    page = viewer.get("/admin/health")
    sign_of_a_page(page)
    assert "Up" in row(page.text, "PostgreSQL")
    assert "Off" in row(page.text, "Redis")
    assert "done 3" in row(page.text, "expiry")
    assert "alarm" not in page.text
    assert "Still works" not in page.text


def test_a_worker_that_is_gone(own: Flask, viewer: Desk) -> None:
    all_beats_came(own)
    execute(own, "UPDATE worker_beats SET last_at = now() - interval '2 hours'")
    page = viewer.get("/admin/health")
    assert page.status_code == 200
    assert "The worker is silent." in page.text
    assert "2 hours ago" in row(page.text, "expiry")
    assert "Silent" in row(page.text, "expiry")


def test_redis_and_the_broker_gone(make_app: MakeApp, database_of_module: str) -> None:
    """Every page answers, and this one says since when it is known, and what still works."""
    app = make_app(
        **KEYS,
        operator_mfa="optional",
        database_url=database_of_module,
        redis_url=GONE_REDIS,
        rabbitmq_url=GONE_BROKER,
    )
    desk = Desk(app).join()
    first = desk.get("/admin/health").text
    assert "Down" in row(first, "Redis")
    assert "Down" in row(first, "RabbitMQ")
    assert "Money moves as always" in row(first, "Redis")
    (since,) = re.findall(r'datetime="([^"]+)"', row(first, "Redis"))
    (again,) = re.findall(r'datetime="([^"]+)"', row(desk.get("/admin/health").text, "Redis"))
    assert again == since
    assert "hidden-pass" not in first
    for path in ("/admin/", "/admin/payments", "/admin/events", "/admin/webhooks"):
        assert desk.get(path).status_code == 200


def test_what_came_back_is_forgotten(own: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise RedisDown("gone")

    with own.app_context():
        monkeypatch.setattr(health, "cache", SimpleNamespace(client=SimpleNamespace(ping=gone)))
        health.check()
        assert health.down_since().keys() == {"redis"}
        there = SimpleNamespace(ping=lambda: True)
        monkeypatch.setattr(health, "cache", SimpleNamespace(client=there))
        health.check()
        assert health.down_since() == {}


def test_a_provider_that_is_gone(own: Flask, viewer: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with own.app_context():
        provider = providers().all()[0]
    until = datetime.now(UTC) + timedelta(minutes=1)
    provider.circuit.breaker.open()
    monkeypatch.setattr(provider.circuit, "open_until", lambda: until)
    try:
        told = row(viewer.get("/admin/health").text, provider.name)
        assert "Down" in told
        assert "Nothing new is sent to it" in told
        front = viewer.get("/admin/")
        assert (front.status_code, ">Open</span>" in front.text) == (200, True)
    finally:
        provider.circuit.breaker.close()


def test_settings_that_are_secret_are_not_shown(own: Flask, viewer: Desk) -> None:
    page = viewer.get("/admin/health").text
    for value in KEYS.values():
        assert str(value) not in page
    assert "postgresql://" not in page
    shown = not_secret(own.extensions["settings"])
    assert shown["SECRET_KEY"] is None
    assert shown["DATABASE_URL"] is None
    assert shown["RABBITMQ_URL"] == ""
    assert shown["APP_ENV"] == own.extensions["settings"].app_env
