"""Settings: documented where they are read, bad ones named at the start, secrets from files."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import redis
from sqlalchemy.engine import make_url

from payment_service import config, create_app, read_settings
from payment_service.api.hosts import LOOPBACK
from payment_service.config import BadSettings, kinds
from payment_service.config import providers as of_providers
from payment_service.domain import money
from payment_service.extensions import db
from payment_service.providers import registry
from payment_service.providers.contract import Limits
from payment_service.sandbox import settings as sandbox_settings
from scripts import databases, preflight
from tests.fixtures import IN_PRODUCTION, MakeApp, a_key, an_order
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[1]
URL = "postgresql://somebody:secret@localhost/payments"

# Of the machine, of Python's tools and of PostgreSQL's, or set by one of our processes for another.
FOREIGN = {
    "PATH",
    "PATH_INFO",
    "REMOTE_ADDR",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "FLASK_APP",
    "PGDATABASE",
    "PAYMENT_VAR_DIR",
}


TABLES = (config.Settings, config.Parts)


def of_config() -> set[str]:
    """The names that the service reads."""
    return {field.name.upper() for table in TABLES for field in dataclasses.fields(table)}


def of_the_programs_around() -> set[str]:
    """The names of make run and the sandbox, and what else asks the environment directly."""
    read = re.compile(r"""(?:environ|source)(?:\.get\(|\[)["']([A-Z_]+)|\$\{([A-Z_]+):-""")
    paths = [
        ROOT / "gunicorn.conf.py",
        ROOT / "wait-for-postgres.sh",
        *(ROOT / "scripts").glob("*.py"),
        *(ROOT / "payment_service").rglob("*.py"),
    ]
    found = {name for path in paths for groups in read.findall(path.read_text()) for name in groups}
    tables = (sandbox_settings.SandboxSettings, preflight.Place)
    named = {field.name.upper() for table in tables for field in dataclasses.fields(table)}
    return named | found - FOREIGN - {""}


READ_FILES = {
    field.name
    for field in dataclasses.fields(config.Settings)
    if field.metadata["kind"] is kinds.READABLE
}


def in_example() -> dict[str, str]:
    lines = re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert len(lines) == len(dict(lines))
    files = {name.upper() for name in READ_FILES}  # not every machine has the example's
    return {name: __file__ if name in files else value for name, value in lines}


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


def test_the_example_is_one_that_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in in_example().items():
        [word] = shlex.split(value)
        monkeypatch.setenv(name, word)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))  # not every machine has the example's
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
        "postgresql+psycopg2://us%40er:p%3Aa%2Fs%40s@db:5433/pay/ments?sslmode=require"
    )
    assert read.redis_url == "redis://:p%40ss@cache:6380/3"


def test_a_secret_can_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://a:hidden@c/d\n")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL_FILE", str(secret))
    assert config.load().database_url == "postgresql+psycopg2://a:hidden@c/d"


@pytest.mark.parametrize("host", ["::1", "10.0.0.7", "db.example."])
def test_a_host_may_be_an_address(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DB_HOST", host)
    monkeypatch.setenv("REDIS_HOST", host)
    read = config.load()
    assert make_url(read.database_url).host == host
    assert redis.connection.parse_url(str(read.redis_url))["host"] == host


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "the file that REDIS_URL_FILE names can't be read"),
        (b" \n", "the file that REDIS_URL_FILE names is empty"),
        (b"\xff\xfe", "the file that REDIS_URL_FILE names can't be read"),
        (b"redis://a\nredis://b", "must be one line of UTF-8 text without control characters"),
    ],
)
def test_a_file_that_is_no_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "url").write_bytes(content)
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("REDIS_URL_FILE", str(tmp_path / "url"))
    assert refused()["REDIS_URL"] == [says]


def test_a_setting_and_its_file_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(URL + "\n")
    (tmp_path / "DATABASE_URL").write_text(URL)
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    assert config.load().database_url.endswith(URL.partition("://")[2])
    (tmp_path / "DATABASE_URL").write_text(URL + "s")
    says = "DATABASE_URL and DATABASE_URL_FILE and SECRETS_DIR differ; set one of them"
    assert refused()["DATABASE_URL"] == [says]
    monkeypatch.delenv("DATABASE_URL_FILE")
    says = "DATABASE_URL and SECRETS_DIR differ; set one of them"
    assert refused()["DATABASE_URL"] == [says]
    monkeypatch.setenv("DATABASE_URL", " ")
    assert config.load().database_url.endswith("paymentss")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file REDIS_URL in SECRETS_DIR is empty"),
        (b"\xff", "can't be read"),
        (None, "can't"),
    ],
)
def test_a_file_in_the_folder_of_secrets_that_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, says: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    assert read_settings().redis_url is None
    if content is None:
        (tmp_path / "REDIS_URL").mkdir()
    else:
        (tmp_path / "REDIS_URL").write_bytes(content)
    [told] = refused()["REDIS_URL"]
    assert says in told


def test_the_folder_of_secrets_spares_an_embedded_server(tmp_path: Path) -> None:
    assert databases.wanted({}) == ["postgres", "redis"]
    (tmp_path / "DATABASE_URL").write_text(URL)
    assert databases.wanted({"SECRETS_DIR": str(tmp_path)}) == ["redis"]


def refused() -> dict[str, list[str]]:
    with pytest.raises(BadSettings) as error:
        read_settings()
    return error.value.faults


HOSTLESS = ("://", "://:80", "://h:0", "://h:65536", "://h:x", "://a b", "://-h", "://[::1")
NUMBERS = ("-1", "nan", "inf", "1e400", "1;2", "0x10", "\udcff", "1e12", "9" * 5000)

KEY = "A" * 43 + "="

# What nobody should set, by the kind of a setting. All of it must be named, but for what is in
# ODD: a service works with that.
ODD = {"1e-300", "5 per 0 seconds"}
WORST: dict[str, tuple[str, ...]] = {
    "PORT": ("0", "65536", "http", *NUMBERS),
    "COUNT": ("0", "1.5", *NUMBERS),
    "CONNECTIONS": ("0", "1001", "1.5", *NUMBERS),
    "PROCESSES": ("0", "257", "1.5", *NUMBERS),
    "THREADS": ("0", "10001", "1.5", *NUMBERS),
    "REDIS_NUMBER": ("0.5", "cache", *NUMBERS),
    "WHOLE_SECONDS": ("0", "86401", "1.5", *NUMBERS),
    "DAYS": ("0", "36501", "1.5", *NUMBERS),
    "HOURS": ("0", "36501", "1.5", *NUMBERS),
    "WHOLE_WAIT": ("86401", "1.5", *NUMBERS),
    "SECONDS": ("0", "3155760000", "1e-300", "soon", *NUMBERS),
    "WAIT": ("3155760000", "soon", *NUMBERS),
    "CALL": ("0", "86401", "1e-300", "soon", *NUMBERS),
    "SHARE": ("1.1", "often", *NUMBERS),
    "YES_OR_NO": ("perhaps", "2", "-1", "None", "\udcff"),
    "AMOUNT": ("1e2", "+1", "1_0", "1.1234567", "1000000000001", "٣", *NUMBERS),
    "LIMIT_OF_CURRENCIES": (
        *("5", "INR", "INR=", "=5", "INR=1e2", "INR=-1", "INR=1,INR=2", "INR=1,inr=2", "INR=1,2"),
        *("INR=1000000000001", "INR=٣", "XXX=5", "rupees=5", "INR=1,", *NUMBERS),
    ),
    "LIMIT_BY_CURRENCY": (
        *("0", "1e2", "1000000000001", "٣", "INR=0", "1,INR=1e2", "INR=1,inr=2", "1,2", "XXX=5"),
        *NUMBERS,
    ),
    **dict.fromkeys(
        (
            *("COUNT_BY_PROVIDER", "THREADS_BY_PROVIDER", "SECONDS_BY_PROVIDER"),
            *("WAIT_BY_PROVIDER", "CALL_BY_PROVIDER"),
        ),
        (
            *(
                "-1",
                "nan",
                "soon",
                "5,",
                "5,6",
                "acme=5",
                "5,acme=5",
                "sandbox=-1",
                "5,sandbox=nan",
            ),
            *("sandbox=1,sandbox=2", "sandbox=1=2", "sandbox=", "=5", "=", ",", "5,,sandbox=1"),
        ),
    ),
    "ROUTES": (
        *("CARD", "CARD=nobody", "BITCOIN=cash", "CARD=sandbox>nobody", "=cash", "CARD=", ","),
        *("CARD:XXX=sandbox", "CARD:=sandbox", "CARD:INR:USD=sandbox", ":INR=sandbox"),
        *("CARD:INR=sandbox,card:inr=cash", "CARD:INR", "BITCOIN:INR=cash", "INR:CARD=sandbox"),
        *("CARD=sandbox,CARD=cash", "CARD=sandbox,card=cash", "CARD=sandbox>sandbox", "CARD=cash,"),
    ),
    "CURRENCY": ("XXX", "XAU", "XYZ", "inr", "₹"),
    "ZONE": ("Mars/Olympus", "../../etc/passwd", "Europe", "posix/Asia", "x" * 5000),
    "LOCALE": ("xx_YY", "english", "_", "en__", "x" * 5000),
    "RATE_LIMIT": (
        "many",
        "0 per second",
        "5 per 0 seconds",
        "-1 per second",
        "1e9 per second",
        ";",
    ),
    "SHORT_TEXT": ("x" * 101, "two\nlines", "nul\x01", "\udcff", "a\u2028b"),
    "TEXT": ("two\nlines", "\x7f", "\udcff", "a\u2028b", "\u202e"),
    "FIELD_AND_VALUE": ("tcctype", "=AUTH", "a=", "a=b=c", "a b=c", "\udcff"),
    "FIUU_CAPTURE_ID": ("TxnID", "id", "TRANID", "txnID,tranID", "\udcff"),
    "APP_ENV": ("prod", "Production", "dev", "0", "\udcff"),
    "AUTH_MODE": ("on", "JWT", "none", "0", "\udcff"),
    "OPERATOR_LOGIN": ("none", "SSO", "oidc", "password,sso", "\udcff"),
    "OPERATOR_MFA": ("yes", "Required", "none", "required,optional", "\udcff"),
    "OPERATOR_ROLES": (
        *("payments", "payments=", "=admin", "payments=root", "payments=Admin", "a=viewer,"),
        *("a=viewer,a=admin", "a viewer", "\udcff"),
    ),
    "ALGORITHMS": ("none", "HS512", "rs256", "RS256,", "RS256,RS256", "RS256 ES256", "\udcff"),
    "CLAIMS": ("scope,", ",", "scope,,role", "scope,scope", "two\nlines", "\udcff"),
    "ROLE_SCOPES": (
        *("finance", "finance=", "=payments:read", "finance=payments:all", "a=payments:read,"),
        *("a=payments:read,a=refunds:write", "a=payments:read refunds", "\udcff"),
    ),
    "PUBLIC_KEY": (
        *("hunter2", "-----BEGIN PUBLIC KEY-----", "a\nb", "-----BEGIN PRIVATE KEY-----\\n\\n"),
        *("\x7f", "\udcff"),
    ),
    "LONG_SECRET": ("hunter2", "x" * 31, "two\nlines" * 9, "\x7f" * 40, "\udcff"),
    "VISIBLE_SECRET": ("hunter2", "x" * 15, "blank in the middle", "é" * 16, "\udcff"),
    "LEEWAY": ("301", "-0.1", "soon", *NUMBERS),
    "SECRET": ("whsec_", "whsec_?", "whsec_é", "whsec_a", "\udcff"),
    "HOST": ("a b", "a/b", "a@b", "-a", ":1", "x" * 64, "/run/postgresql", "\udcff"),
    "LOG_LEVEL": ("LOUD", "info", "10", "NOTSET", "CRITICAL "),
    "LOG_FORMAT": ("xml", "JSON", "0", "console json", "\udcff"),
    "SAMPLER": ("on", "ALWAYS_ON", "parentbased", "jaeger_remote", "\udcff"),
    "HEADERS": ("hunter2", "=hunter2", "a=", "a=b,", "a=b c", "a b=c", "é=c", "a=\x7f", "\udcff"),
    "PASSWORD": ("two\nlines", "\x7f", "\udcff", "a\u2028b", "\u202e"),
    "SECRETS_FOLDER": ("/nowhere", "/dev/null", "/etc/passwd", "x" * 5000, "\udcff"),
    "HOSTS": ("a b", "a,", "https://a", "*.a", "a/b", "payments_web", ".a_b.example", "\udcff"),
    "ORIGINS": (
        *("*", "app.example.com", "https://app.example.com/", "https://A.example", "https://a,"),
        *("null", "https://a/b", "ftp://a", "https://"),
    ),
    "NETWORKS": ("10.0.0.0/33", "10.0.0.1/8", "proxy", "*", "10.0.0.0/8,", "::1/129"),
    "ENCRYPTION_KEYS": (
        *("k1", "k1:", "k1:AAAA", f"K1:{KEY}", f":{KEY}", f"k1:{KEY},", f"k1:{KEY},k1:{KEY}"),
        *(f"k1:{KEY[:-1]}", f"k1:{KEY},k2", f"k1:{KEY}:", f"k-1:{KEY}", "k1:" + "?" * 44),
    ),
    "SSL_MODE": ("yes", "REQUIRE", "verify", "0", "\udcff"),
    "READABLE": ("/", "/nowhere", "/dev/null/x", "/dev/null", "x" * 5000, "\udcff"),
    "DIGITS": ("1234", "1" * 16, "+46701234567", "123 456 7890", "\u0661" * 10, "\udcff"),
    "FILE": ("/", "/dev/null/x", "/etc/passwd/x", "x" * 5000, "\udcff"),
    "FOLDER": ("/dev/null", "/dev/null/x", "/etc/passwd/x", "x" * 5000, "\udcff"),
    "HTTP_URL": (
        *("localhost:8081", "ftp://h", "http:/h", "http://h?a=1", "http://h#a", "http://h\\x"),
        *(f"http{rest}" for rest in HOSTLESS),
    ),
    "DOCUMENT_URL": (
        *("localhost:8081/jwks", "ftp://h/jwks", "http:/h", "http://h/#a", "http://h\\x"),
        *(f"http{rest}" for rest in HOSTLESS),
    ),
    "DATABASE_URL": (
        *("mysql://x:hunter2@h/d", "postgresql", "/d", "postgresql+psycopg://u:hunter2@h/d"),
        *("postgresql:///d", "postgresql://u:hunter2@h/d?sslmode=loud"),
        *("postgresql://u:hunter2@h/d?nonsense=1", "sqlite://"),
        *(f"postgresql{rest}" for rest in HOSTLESS),
    ),
    "REDIS_URL": (
        *("nonsense", "http://:hunter2@h", "redis://:hunter2@h/one", "unix:///run/redis"),
        *("redis://h?nonsense=1", "redis://h?socket_timeout=hunter2", "redis://h?socket_timeout=9"),
        *("redis://h?socket_connect_timeout=9", "redis://h?retry_on_timeout=yes"),
        *("redis://h?health_check_interval=1", "redis://h?timeout="),
        *(f"redis{rest}" for rest in HOSTLESS),
    ),
    "RABBITMQ_URL": (
        *("nonsense", "http://u:hunter2@h", "amqp://h?heartbeat=hunter2"),
        *(f"amqp{rest}" for rest in HOSTLESS),
    ),
    "LATENCY": ("slow", "-1ms", "600001ms", "1e9ms", "2s"),
    "TRIPS": ("/nowhere/trips.csv", "/", "/dev/zero", str(ROOT / "static/swagger"), "\udcff"),
}
KINDS = {id(kind): name for name, kind in [*vars(kinds).items(), *vars(sandbox_settings).items()]}
ALL = {
    field.name.upper(): KINDS[id(field.metadata["kind"])]
    for table in (*TABLES, sandbox_settings.SandboxSettings, preflight.Place)
    for field in dataclasses.fields(table)
}


def test_the_worst_is_known_of_every_setting() -> None:
    assert len(ALL) > 60
    assert {name for name, kind in ALL.items() if len(WORST.get(kind, ())) < 5} == set()


@pytest.mark.parametrize("name", ALL)
def test_the_worst_is_named_or_works(
    monkeypatch: pytest.MonkeyPatch, make_app: MakeApp, name: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("JWT_SECRET", "x" * 32)  # with which AUTH_MODE need not be set
    taken = []
    for value in ("", " ", *WORST[ALL[name]]):
        monkeypatch.setenv(name, value)
        for other, companion in companions(name).items() if value.strip() else ():
            monkeypatch.setenv(other, companion)
        try:
            preflight.check_settings()
        except BadSettings as error:
            assert list(error.faults) == [name], value
            assert "hunter2" not in str(error)
        else:
            taken.append(value)
            if value.strip():
                assert value in ODD
                works(make_app, name.lower(), getattr(read_settings(), name.lower()))
    # An empty variable is the same as none.
    assert {"", " "} <= set(taken)


def companions(name: str) -> dict[str, str]:
    """What must be set beside a provider's setting, as the example has it."""
    own = next((own for own in of_providers.TOGETHER.values() if name.lower() in own), ())
    others = {one.upper() for one in own} - {name}
    found = {other: in_example()[other] for other in others | {"PUBLIC_URL"} if own}
    keys = ("secret_key", "encryption_keys") if own else ()
    return found | {key.upper(): IN_PRODUCTION[key] for key in keys}


def works(make_app: MakeApp, name: str, value: Any) -> None:
    """It may be a setting with which nothing succeeds in time, but it is no accident of ours."""
    app = make_app(**{name: value})
    answer = app.test_client().post(
        "/v1/payments/charge", json=an_order(), headers={"Idempotency-Key": a_key()}
    )
    assert answer.status_code in (201, 202, 503), answer.text
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


@pytest.mark.parametrize("currency", ["XXX", "XAU", "USN"])
def test_the_currency_is_one_that_the_api_takes(currency: str) -> None:
    assert currency not in money.EXPONENTS


def test_all_faults_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in ALL.items():
        monkeypatch.setenv(name, WORST[kind][0])
    with pytest.raises(BadSettings) as error:
        preflight.check_settings()
    assert set(error.value.faults) == ALL.keys()
    assert all(f"\n  {name}: " in str(error.value) for name in ALL)


SECRET = {"JWT_SECRET": "x" * 32}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, {"JWT_ISSUER": "missing; set it, or one of JWT_JWKS_URL"}),
        (SECRET | {"JWT_ISSUER": "http://h"}, {"JWT_ISSUER": "one place", "JWT_SECRET": "one"}),
        (
            SECRET | {"JWT_ALGORITHMS": "RS256"},
            {"JWT_ALGORITHMS": "JWT_SECRET, which is for HS256"},
        ),
        ({"JWT_ISSUER": "http://h", "JWT_ALGORITHMS": "HS256"}, {"JWT_ALGORITHMS": "RS256, PS256"}),
        ({"AUTH_MODE": "off", "APP_ENV": "production"}, {"AUTH_MODE": "APP_ENV=production"}),
        ({"AUTH_MODE": "off", "SERVICE_HOST": "0.0.0.0"}, {"AUTH_MODE": "SERVICE_HOST"}),
        ({"AUTH_MODE": "off", "SERVICE_HOST": "::"}, {"AUTH_MODE": "SERVICE_HOST"}),
        ({"AUTH_MODE": "off", "SERVICE_HOST": "payments"}, {"AUTH_MODE": "SERVICE_HOST"}),
        ({"JWT_SECRET": "short"}, {"JWT_SECRET": "must have at least 32 bytes"}),
    ],
)
def test_who_may_call_must_be_said(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], told: dict[str, str]
) -> None:
    monkeypatch.delenv("AUTH_MODE")
    for name, value in {"DATABASE_URL": URL, **given}.items():
        monkeypatch.setenv(name, value)
    # What else production refuses is the business of test_production.py.
    every = refused().items()
    faults = {name: says for name, says in every if not says[0].startswith("in production")}
    assert faults.keys() == told.keys()
    assert all(text in faults[name][0] for name, text in told.items()), faults


@pytest.mark.parametrize(
    "given",
    [
        SECRET | {"SERVICE_HOST": "0.0.0.0"},
        *({"AUTH_MODE": "off", "SERVICE_HOST": host} for host in ("127.0.0.2", "::1", "localhost")),
    ],
)
def test_who_may_call_is_said(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    monkeypatch.delenv("AUTH_MODE")
    for name, value in {"DATABASE_URL": URL, **given}.items():
        monkeypatch.setenv(name, value)
    assert read_settings().service_host == given["SERVICE_HOST"]


SSO = {
    "OPERATOR_SSO_ISSUER": "http://h",
    "OPERATOR_SSO_CLIENT_ID": "panel",
    "OPERATOR_SSO_CLIENT_SECRET": "x" * 32,
    "OPERATOR_SSO_ROLES": "payments-admin=admin",
    "SECRET_KEY": "x" * 32,
}


@pytest.mark.parametrize("login", ["sso", "both"])
def test_what_single_sign_on_needs_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    for name in SSO:
        monkeypatch.delenv(name, raising=False)
    assert read_settings().operator_login == "password"
    monkeypatch.setenv("OPERATOR_LOGIN", login)
    assert refused() == {
        name: [f"missing; OPERATOR_LOGIN={login} needs it"] for name in sorted(SSO)
    }
    for name, value in SSO.items():
        monkeypatch.setenv(name, value)
    assert read_settings().operator_login == login


def test_make_run_makes_the_key_that_single_sign_on_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DATABASE_URL": URL, **SSO, "OPERATOR_LOGIN": "sso"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SECRET_KEY")
    assert list(refused()) == ["SECRET_KEY"]
    assert preflight.check_settings()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"PUBLIC_URL": "https://pay.example"}, {"SECRET_KEY", "ENCRYPTION_KEYS"}),
        ({"RETURN_ORIGINS": "https://app.example,http://app.example"}, {"RETURN_ORIGINS"}),
        ({"RETURN_ORIGINS": "https://app.example,http://127.0.0.1:3000"}, set()),
    ],
)
def test_what_the_payers_way_needs(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], told: set[str]
) -> None:
    for name in ("SECRET_KEY", "ENCRYPTION_KEYS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"DATABASE_URL": URL, **given}.items():
        monkeypatch.setenv(name, value)
    if told:
        assert refused().keys() == told
    else:
        assert read_settings().return_origins == given["RETURN_ORIGINS"]


def test_in_production_a_payer_is_led_back_over_tls() -> None:
    mine = {"return_origins": "http://127.0.0.1:3000"}
    with pytest.raises(BadSettings, match="RETURN_ORIGINS: must be https"):
        read_settings(**IN_PRODUCTION, database_url=URL, jwt_secret="x3" * 20, **mine)


def test_make_run_makes_the_keys_that_the_payers_way_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DATABASE_URL", "DB_HOST", "SECRET_KEY", "ENCRYPTION_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PUBLIC_URL", "http://127.0.0.1:8082")
    assert preflight.check_settings()


@pytest.mark.parametrize("provider", sorted(of_providers.TOGETHER))
def test_to_make_run_a_provider_s_own_settings_are_enough(
    monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    """Where payers reach the service, and the keys, it sets by itself; but no keys to a database of
    somebody else's."""
    for name in ("DATABASE_URL", "DB_HOST", "SECRET_KEY", "ENCRYPTION_KEYS", "PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in of_providers.TOGETHER[provider]:
        monkeypatch.setenv(name.upper(), in_example()[name.upper()])
    assert preflight.check_settings()
    monkeypatch.setenv("DATABASE_URL", URL)
    with pytest.raises(BadSettings) as error:
        preflight.check_settings()
    reached = {"PUBLIC_URL"} & error.value.faults.keys()
    assert error.value.faults.keys() == {"ENCRYPTION_KEYS"} | reached
    assert bool(reached) == (provider in of_providers.REACHED)


def test_metrics_have_a_port_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DATABASE_URL": URL, "METRICS_PORT": "8082"}.items():
        monkeypatch.setenv(name, value)
    assert refused() == {"METRICS_PORT": ["must be another port than SERVICE_PORT"]}
    for name, value in {"METRICS_PORT": "9102", "HEALTH_PORT": "9102"}.items():
        monkeypatch.setenv(name, value)
    assert refused() == {"HEALTH_PORT": ["must be another port than METRICS_PORT"]}
    monkeypatch.setenv("HEALTH_PORT", "8082")
    assert refused() == {"HEALTH_PORT": ["must be another port than SERVICE_PORT"]}


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
    "slow",
    [
        {"PROVIDER_TIMEOUT_SECONDS": "10,sandbox=58"},
        {"PROVIDER_SEND_SECONDS": "sandbox=50"},
        {"PROVIDER_TIMEOUT_SECONDS": "cash=30", "PROVIDER_SEND_SECONDS": "5,cash=30"},
    ],
)
def test_a_lock_must_outlive_the_slowest_provider(
    monkeypatch: pytest.MonkeyPatch, slow: dict[str, str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    for name, value in slow.items():
        monkeypatch.setenv(name, value)
    assert list(refused()) == ["IDEMPOTENCY_LOCK_SECONDS"]


def test_a_provider_may_have_limits_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not named has what holds for all, and that is the default where none is said."""
    monkeypatch.setenv("DATABASE_URL", URL)
    for name, value in {
        "PROVIDER_TIMEOUT_SECONDS": "8, Sandbox=20",
        "PROVIDER_CONCURRENCY": "sandbox=7",
        "PROVIDER_SETTLING_SECONDS": "sandbox=0",
        "PROVIDER_SEND_SECONDS": "cash=1,3",
        "CIRCUIT_FAIL_MAX": "sandbox=2",
        "CIRCUIT_RESET_SECONDS": "9",
    }.items():
        monkeypatch.setenv(name, value)
    providers = registry.Registry(read_settings())
    for name, limits in {
        "sandbox": Limits(20.0, 7, 0.0, 3.0, 2, 9.0),
        "cash": Limits(8.0, 40, 60.0, 1.0, 5, 9.0),
        "gone": Limits(8.0, 40, 60.0, 3.0, 5, 9.0),
    }.items():
        assert providers.limits(name) == limits
    assert providers.get("Cash").limits == providers.limits("CASH") == providers.limits("cash")
    assert providers.find("SandBox") is providers.find("sandbox")
    assert providers.longest_timeout() == 20.0


@pytest.mark.slow
def test_gunicorn_says_what_is_wrong_and_ends() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "gunicorn",
            "-c",
            "gunicorn.conf.py",
            "payment_service:create_app()",
        ],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": "mysql://x:hunter2@y", "WEB_THREADS": "many"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("  ")]
    assert told == [
        f"  DATABASE_URL: {kinds.DATABASE_FORMS}",
        "  WEB_THREADS: must be a whole number from 1 to 10000",
    ]
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"SERVICE_HOST": "0.0.0.0"}, "AUTH_MODE: off is refused unless SERVICE_HOST"),
        ({"GUNICORN_CMD_ARGS": "--bind 0.0.0.0:0"}, "AUTH_MODE=off is refused unless it listens"),
    ],
)
def test_gunicorn_does_not_let_others_in_unasked(given: dict[str, str], says: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    env = {**os.environ, "DATABASE_URL": URL, "AUTH_MODE": "off", "SERVICE_PORT": port, **given}
    command = ["-m", "gunicorn", "-c", "gunicorn.conf.py", "payment_service:create_app()"]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode != 0
    assert says in done.stderr
    assert "SERVICE_HOST" not in given or "http://0.0.0.0" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "arguments"),
    [({}, ["--host", "0.0.0.0"]), ({"FLASK_RUN_HOST": "::"}, []), ({}, ["-h", "payments"])],
)
def test_flask_run_does_not_let_others_in_unasked(
    given: dict[str, str], arguments: list[str]
) -> None:
    """It listens where it is told to, whatever SERVICE_HOST says."""
    env = {**os.environ, "DATABASE_URL": URL, "AUTH_MODE": "off", **given}
    command = ["-m", "flask", "--app", "payment_service", "run", "--port", "0", *arguments]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "AUTH_MODE: off is refused unless --host is loopback" in done.stderr


@pytest.mark.parametrize("host", [*LOOPBACK, "127.0.0.2", "unix:///tmp/somewhere"])
def test_flask_run_serves_this_machine(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    with click.Context(click.Command("run"), info_name="run") as context:
        context.params["host"] = host
        assert create_app() is not None
        monkeypatch.setenv("AUTH_MODE", "jwt")
        monkeypatch.setenv("JWT_SECRET", "x" * 32)
        context.params["host"] = "0.0.0.0"
        assert create_app() is not None


@pytest.mark.slow
def test_the_wait_for_the_database_finds_it_as_the_service_does(postgres_url: str) -> None:
    def waited(**env: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            [str(ROOT / "wait-for-postgres.sh"), "echo", "up"],
            env={"PATH": path, **env},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    up = waited(DATABASE_URL=postgres_url)
    assert (up.returncode, up.stdout) == (0, "up\n"), up.stderr
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = str(nobody.getsockname()[1])
        down = waited(DB_HOST="127.0.0.1", DB_PORT=port, WAIT_SECONDS="0")
    assert "PostgreSQL did not answer in 0 s" in down.stderr
    assert "\n  WAIT_SECONDS: must be" in waited(DB_HOST="h", WAIT_SECONDS="nan").stderr


@pytest.mark.parametrize("provider", of_providers.TOGETHER)
def test_what_a_provider_needs_together(monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("JWT_SECRET", "x" * 32)
    own = [name.upper() for name in of_providers.TOGETHER[provider]]
    also = {}
    if provider in of_providers.CALLING:
        also["ENCRYPTION_KEYS"] = f"missing; webhooks of {provider} are kept encrypted"
    for name in (*own, "PUBLIC_URL", "ENCRYPTION_KEYS"):
        monkeypatch.delenv(name, raising=False)
    for name in own:
        monkeypatch.setenv(name, in_example()[name])
        with pytest.raises(BadSettings) as error:
            read_settings()
        needed = [*own, "PUBLIC_URL"] if provider in of_providers.REACHED else own
        missing = dict.fromkeys(needed, f"missing; {name} needs it") | also
        del missing[name]
        assert error.value.faults == {name: [told] for name, told in missing.items()}
        monkeypatch.delenv(name)
