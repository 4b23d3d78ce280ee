"""Settings: documented where they are read, bad ones named at the start, secrets from files."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from payment_service import config
from payment_service.config import BadSettings

ROOT = Path(__file__).resolve().parents[1]
URL = "postgresql://somebody:secret@localhost/payments"

# Of the machine, of Python's tools and of PostgreSQL's, or set by one of our processes for another.
FOREIGN = {"PATH", "PATH_INFO", "FLASK_APP", "PGDATABASE", "PAYMENT_VAR_DIR"}


def of_config() -> set[str]:
    """The names that config.py reads."""
    tree = ast.parse((ROOT / "payment_service/config.py").read_text())
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "env"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def of_the_programs_around() -> set[str]:
    """The names that gunicorn's settings, the scripts, the commands and the sandbox read."""
    read = re.compile(
        r"""(?:environ|source)(?:\.get\(|\.setdefault\(|\[)["']([A-Z_]+)"""
        r"""|port\("([A-Z_]+)"|envvar="([A-Z_]+)"|\$\{([A-Z_]+):-"""
    )
    paths = [
        ROOT / "gunicorn.conf.py",
        ROOT / "wait-for-postgres.sh",
        ROOT / "payment_service/cli.py",
        *(ROOT / "scripts").glob("*.py"),
        *(ROOT / "payment_service/sandbox").glob("*.py"),
    ]
    found = {name for path in paths for groups in read.findall(path.read_text()) for name in groups}
    return found - FOREIGN - {""}


def in_example() -> dict[str, str]:
    lines = re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert len(lines) == len(dict(lines))
    return dict(lines)


def in_documentation() -> dict[str, str]:
    text = (ROOT / "docs/settings.md").read_text()
    rows = re.findall(r"^\| `([A-Z_]+)` \| (?:`(.*?)`)? ?\|", text, re.MULTILINE)
    assert len(rows) == len(dict(rows))
    return dict(rows)


def test_every_setting_is_in_the_example_and_in_the_documentation() -> None:
    read = of_config() | of_the_programs_around()
    assert len(read) > 60
    assert set(in_example()) == read
    assert set(in_documentation()) == read


def test_the_documented_defaults_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in of_config():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", URL)
    defaults = dataclasses.asdict(config.load())
    for name, value in in_documentation().items():
        if name in of_config() and value:
            monkeypatch.setenv(name, value)
    assert dataclasses.asdict(config.load()) == defaults


def test_the_example_is_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in in_example().items():
        [word] = shlex.split(value)
        monkeypatch.setenv(name, word)
    read = config.load()
    assert read.database_url.startswith("postgresql+psycopg2://")
    assert all(value not in (None, "") for value in dataclasses.asdict(read).values())


@pytest.mark.parametrize("server", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_the_database_is_reached_by_psycopg2(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{server}://a:b@c/d")
    assert config.load().database_url == "postgresql+psycopg2://a:b@c/d"


def test_the_servers_can_be_named_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "DB_HOST": "db",
        "DB_PORT": "5433",
        "DB_NAME": "pay/ments",
        "DB_USER": "us@er",
        "DB_PASS": "p:a/s@s",
        "DB_SSL_MODE": "require",
        "REDIS_HOST": "cache",
        "REDIS_PORT": "6380",
        "REDIS_PASSWORD": "p@ss",
        "REDIS_DB": "3",
    }.items():
        monkeypatch.setenv(name, value)
    read = config.load()
    assert read.database_url == (
        "postgresql+psycopg2://us%40er:p%3Aa%2Fs%40s@db:5433/pay%2Fments?sslmode=require"
    )
    assert read.redis_url == "redis://:p%40ss@cache:6380/3"


def test_a_secret_can_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://a:hidden@c/d\n")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL_FILE", str(secret))
    assert config.load().database_url == "postgresql+psycopg2://a:hidden@c/d"


BAD = {
    "SERVICE_PORT": "http",
    "MAX_AMOUNT": "0",
    "BASE_FARE": "-1",
    "RATE_PER_KM": "much",
    "DEFAULT_CURRENCY": "XYZ",
    "PROVIDER_TIMEOUT_SECONDS": "0",
    "PROVIDER_CONCURRENCY": "-1",
    "DB_POOL_SIZE": "0",
    "DB_PREPARE": "perhaps",
    "RATE_LIMIT": "many",
    "RECEIPT_TIMEZONE": "Mars/Olympus",
    "RECEIPT_LOCALE": "xx_YY",
    "SEED_TIMEZONE": "",
    "LOG_LEVEL": "LOUD",
    "LOG_FORMAT": "xml",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv(name, BAD[name])
    with pytest.raises(BadSettings) as refused:
        config.load()
    assert f"\n  {name}: " in str(refused.value)


def test_all_faults_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    for name, value in BAD.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings) as refused:
        config.load()
    assert all(f"\n  {name}: " in str(refused.value) for name in BAD)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e400"])
def test_no_limit_is_no_limit(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("MAX_AMOUNT", value)
    with pytest.raises(BadSettings, match="MAX_AMOUNT"):
        config.load()


def test_without_a_database_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "DB_HOST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadSettings, match="DATABASE_URL: missing; set it, or DB_HOST"):
        config.load()


def test_a_lock_must_outlive_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("IDEMPOTENCY_LOCK_SECONDS", "15")
    with pytest.raises(BadSettings, match="IDEMPOTENCY_LOCK_SECONDS: must be more than"):
        config.load()


@pytest.mark.parametrize(
    "routes", ["CARD", "CARD=nobody", "BITCOIN=cash", "CARD=sandbox>nobody", "=cash", "CARD="]
)
def test_a_route_that_leads_nowhere(routes: str) -> None:
    from payment_service.providers.registry import Registry

    with pytest.raises(BadSettings, match="PROVIDER_ROUTES"):
        Registry(config.load(database_url=URL, provider_routes=routes))
