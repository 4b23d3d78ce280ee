"""Second names of settings, durations with units, and the forms of a database's address."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from payment_service import config, embedded
from payment_service.config import BadSettings, database_urls, durations, other_names
from payment_service.config.reading import is_set

ROOT = Path(__file__).resolve().parents[1]
URL = "postgresql://a:b@c/d"
UNITS = list(durations.SECONDS)

VALUES = {
    "PORT": ("9000", "service_port", 9000),
    "ENVIRONMENT": ("dev", "app_env", "development"),
    "DB_MAX_CONNECTIONS": ("7", "db_pool_size", 7),
    "ENCRYPTION_KEY": ("b5pBd0mR8sYw3vQe7uXz1kLj9hGf2nTc4aWq6iOlPrU=", "encryption_keys", None),
    "HEALTH_CHECK_PORT": ("9001", "health_port", 9001),
    "WEBHOOK_TIMEOUT": ("7s", "outbox_timeout_seconds", 7.0),
    "WEBHOOK_RETRY_ATTEMPTS": ("3", "outbox_max_attempts", 3),
    "WEBHOOK_RETRY_MAX_DELAY": ("5m", "outbox_backoff_max_seconds", 300.0),
    "FIUU_TIMEOUT": ("12", "provider_timeout_seconds", None),
    "RabbitMQ__ConnectionString": ("amqp://a:b@c/", "rabbitmq_url", "amqp://a:b@c/"),
}


@pytest.fixture(autouse=True)
def _database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)


@pytest.mark.parametrize("second", VALUES)
def test_a_second_name_is_read_as_the_setting(monkeypatch: pytest.MonkeyPatch, second: str) -> None:
    value, name, wanted = VALUES[second]
    monkeypatch.delenv(name.upper(), raising=False)
    before = getattr(config.load(), name)
    monkeypatch.setenv(second, value)
    found = getattr(config.load(), name)
    assert found == wanted if wanted is not None else found != before


def test_of_fiuu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIUU_TIMEOUT", "12")
    read = config.load().provider_timeout_seconds
    assert (read.of("fiuu"), read.of("stripe")) == (12.0, 10.0)


def test_the_parts_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("DB_HOST", "db")
    monkeypatch.setenv("DB_PASSWORD", "p@ss")
    assert make_url(config.load().database_url).password == "p@ss"


def test_every_second_name_is_tried_and_told() -> None:
    tried = {*VALUES, "DB_PASSWORD", "ConnectionStrings__DefaultConnection"}
    assert set(other_names.SECOND) == tried
    told = (ROOT / "docs/settings.md").read_text()
    for name, (ours, _) in other_names.SECOND.items():
        assert f"| `{name}`" in told
        assert f"`{ours}`" in told
    for name in other_names.WITHOUT_EFFECT:
        assert f"`{name}`" in told


def test_both_must_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_PORT", "9000")
    monkeypatch.setenv("PORT", "9000")
    assert config.load().service_port == 9000
    monkeypatch.setenv("PORT", "9001")
    with pytest.raises(BadSettings) as refused:
        config.load()
    assert refused.value.faults == {
        "SERVICE_PORT": ["SERVICE_PORT and PORT differ; set one of them"]
    }


def test_who_asks_whether_a_server_is_named_hears_of_second_names() -> None:
    assert is_set("DATABASE_URL", {"ConnectionStrings__DefaultConnection": "Host=a"})
    assert not is_set("DATABASE_URL", {"ConnectionStrings__DefaultConnection": " "})


def test_what_does_nothing_here_is_named() -> None:
    environ = {
        "FIUU_SANDBOX": "true",
        "FIUU_RETRY_DELAY": "3",
        "WEBHOOK_RETRY_DELAY": "5s",
        "WEBHOOK_RETRY_ATTEMPTS": "3",
        "METRICS_ENABLED": "",
    }
    told = other_names.without_effect(environ)
    assert list(told) == ["FIUU_RETRY_DELAY", "FIUU_SANDBOX", "WEBHOOK_RETRY_DELAY"]
    assert "FIUU_API_URL" in told["FIUU_SANDBOX"]


@given(st.lists(st.integers(0, 999), min_size=5, max_size=5), st.sets(st.sampled_from(UNITS)))
def test_a_duration_is_the_sum_of_its_parts(counts: list[int], chosen: set[str]) -> None:
    parts = [(n, unit) for n, unit in zip(counts, reversed(UNITS), strict=True) if unit in chosen]
    written = "".join(f"{count}{unit}" for count, unit in parts)
    total = sum(count * durations.SECONDS[unit] for count, unit in parts)
    if parts:
        assert Decimal(durations.seconds(written)) == total


@pytest.mark.parametrize("odd", ["5s5m", "5 m", "m", "5x", "-5s", "1h1h", "5s ago", "", "٣s"])
def test_what_is_no_duration_stays(odd: str) -> None:
    assert durations.seconds(odd) == odd


def test_durations_with_units_in_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIP_TIMEOUT_SECONDS", "500ms")
    monkeypatch.setenv("AUTHORIZATION_TTL", "1h30m")
    monkeypatch.setenv("WEB_KEEPALIVE", "2m")
    monkeypatch.setenv("PROVIDER_TIMEOUT_SECONDS", "8s,fiuu=20s")
    read = config.load()
    assert (read.trip_timeout_seconds, read.authorization_ttl, read.web_keepalive) == (
        0.5,
        5400,
        120,
    )
    assert read.provider_timeout_seconds.of("fiuu") == 20.0
    monkeypatch.setenv("WEB_KEEPALIVE", "1500ms")
    with pytest.raises(BadSettings):
        config.load()


@pytest.mark.parametrize(
    ("written", "host", "port", "password", "query"),
    [
        ("Host=db;Port=5433;Database=d;Username=u;Password=p", "db", 5433, "p", {}),
        ("Server=db; User Id=u; Password='a;b=c'; Database=d;", "db", None, "a;b=c", {}),
        ('host=db;username=u;password="a""b";database=d', "db", None, 'a"b', {}),
        (
            "Host=db;Database=d;Username=u;Password=p;SSL Mode=VerifyFull",
            "db",
            None,
            "p",
            {"sslmode": "verify-full"},
        ),
        (
            "Host=one,two:5433;Port=5432;Database=d;Username=u;Password=p;"
            "Target Session Attributes=read-write",
            None,
            None,
            "p",
            {"host": ("one:5432", "two:5433"), "target_session_attrs": "read-write"},
        ),
    ],
)
def test_an_address_as_npgsql_has_it(
    monkeypatch: pytest.MonkeyPatch,
    written: str,
    host: str | None,
    port: int | None,
    password: str,
    query: dict[str, object],
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("ConnectionStrings__DefaultConnection", written)
    url = make_url(config.load().database_url)
    assert (url.host, url.port, url.username, url.password, url.database) == (
        host,
        port,
        "u",
        password,
        "d",
    )
    assert dict(url.query) == query


@pytest.mark.parametrize(
    "odd", ["Host=a;Nonsense=1", "Host=", "Port=1", "Host=a;Host=b", "Host=a b;Port=1", "a=b=c;;"]
)
def test_what_is_no_address(monkeypatch: pytest.MonkeyPatch, odd: str) -> None:
    monkeypatch.setenv("DATABASE_URL", odd)
    with pytest.raises(BadSettings) as refused:
        config.load()
    assert "Host=host;Port=port" in refused.value.faults["DATABASE_URL"][0]


@given(st.text(min_size=1, max_size=30).filter(lambda word: "\x00" not in word))
def test_any_password_survives_npgsqls_form(word: str) -> None:
    quoted = '"' + word.replace('"', '""') + '"'
    written = f"Host=db;Database=d;Username=u;Password={quoted}"
    assert make_url(database_urls.normal(written)).password == word


def test_several_hosts_reach_the_one_that_takes_writes(tmp_path: Path) -> None:
    """The first port is nobody's; libpq goes on to the second."""
    server = embedded.start_postgres(tmp_path / "db", by_tcp=True)
    try:
        there = database_urls.for_libpq(database_urls.normal(server.url))
        written = (
            f"postgresql://{there['user']}:{there['password']}@127.0.0.1:1,"
            f"{there['host']}:{there['port']}/{there['dbname']}?target_session_attrs=read-write"
        )
        normal = database_urls.normal(written)
        assert database_urls.hosts(make_url(normal)) == ["127.0.0.1", "127.0.0.1"]
        with create_engine(normal).connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
    finally:
        server.stop()
