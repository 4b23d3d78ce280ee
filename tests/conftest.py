"""The suite's servers: a real PostgreSQL and a real Redis, started once for all xdist workers.

TEST_DATABASE_URL and TEST_REDIS_URL name servers to use instead; the role there needs CREATEDB.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redis
from hypothesis import settings
from psycopg2 import sql
from sqlalchemy.engine import make_url

from payment_service import embedded
from tests import environment
from tests.canaries import WATCH

# Hypothesis' own for CI: no example is too slow, and which are tried is no matter of luck.
settings.load_profile("ci")
environment.guard()

ROOT = Path(__file__).resolve().parents[1]
SERVERS = pytest.StashKey[list[embedded.Server]]()
DIRECTORY = pytest.StashKey[Path]()
LEFT_OUT = pytest.StashKey[int]()
DROP_TRIES = 50
# Nothing in the test server has to outlive a power cut.
UNSAFE = {"fsync": "off", "full_page_writes": "off"}


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers in the controller; the workers inherit its environment."""
    config.addinivalue_line("markers", "api: speaks to the service over its API")
    config.addinivalue_line("markers", "slow: takes over 2 s alone; `make test` leaves it out")
    options = config.option
    if hasattr(config, "workerinput") or options.collectonly or options.help or options.version:
        return
    os.environ["TEST_RUN"] = secrets.token_hex(4)
    os.environ["AUTH_MODE"] = "off"  # tests of tokens say so
    directory = config.stash[DIRECTORY] = Path(tempfile.mkdtemp(prefix="payments-"))
    os.environ["TEST_SERVERS"] = str(directory)
    started = config.stash[SERVERS] = []
    try:
        if not os.environ.get("TEST_DATABASE_URL"):
            started.append(embedded.start_postgres(directory / "postgres", settings=UNSAFE))
            os.environ["TEST_DATABASE_URL"] = started[-1].url
        if not os.environ.get("TEST_REDIS_URL"):
            started.append(embedded.start_redis(directory / "redis"))
            os.environ["TEST_REDIS_URL"] = started[-1].url
    except embedded.EmbeddedError as error:
        if os.environ.get("CI"):
            pytest_unconfigure(config)
            raise pytest.UsageError(str(error)) from None
        os.environ["TEST_SERVER_MISSING"] = str(error)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What speaks to the service over its API bears the mark `api`, for `make test-api`."""
    for item in items:
        if "make_app" in getattr(item, "fixturenames", ()):
            item.add_marker("api")


def pytest_deselected(items: list[pytest.Item]) -> None:
    left_out = sum(item.get_closest_marker("slow") is not None for item in items)
    if left_out and "not slow" in items[0].config.option.markexpr:
        items[0].config.stash[LEFT_OUT] = left_out


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells the controller, which sees no tests of its own."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if left_out := getattr(node, "workeroutput", {}).get("left_out"):
        node.config.stash[LEFT_OUT] = left_out  # each worker has collected all


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if left_out := terminalreporter.config.stash.get(LEFT_OUT, 0):
        tests = "1 slow test was" if left_out == 1 else f"{left_out} slow tests were"
        terminalreporter.write_line(f"{tests} left out: make test-slow")


def pytest_unconfigure(config: pytest.Config) -> None:
    started = config.stash.get(SERVERS, None)
    if started is None:
        return
    if not started or started[0].name != "postgres":
        _drop_databases()
    for server in started:
        server.stop()
    shutil.rmtree(config.stash[DIRECTORY], ignore_errors=True)


def _drop_databases() -> None:
    """Leave nothing of this run on a server that is not ours, if there is one."""
    if not os.environ.get("TEST_DATABASE_URL"):
        return
    with contextlib.suppress(psycopg2.OperationalError), _maintenance() as cursor:
        pattern = f"test\\_{os.environ['TEST_RUN']}\\_%"
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [pattern])
        for (name,) in cursor.fetchall():
            _drop(cursor, name)


def _drop(cursor: psycopg2.extensions.cursor, name: str) -> None:
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    for turn in range(DROP_TRIES):
        try:
            cursor.execute(drop)
            return
        except psycopg2.errors.InsufficientPrivilege:
            # An autovacuum worker is at work there, which only a superuser may end; it ends soon.
            if turn == DROP_TRIES - 1:
                raise
            time.sleep(0.2)


class _Databases:
    """Makes databases ahead of their tests and drops them behind, because both mostly wait."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._pool = ThreadPoolExecutor(1)
        self._next = self._pool.submit(self._make)

    def _make(self) -> tuple[str, str]:
        name = f"test_{os.environ['TEST_RUN']}_{secrets.token_hex(4)}"
        return name, _create(name, self._template)

    def _forget(self, name: str) -> None:
        WATCH.look_in_database(_url_of(name))
        with _maintenance() as cursor:
            _drop(cursor, name)

    @contextlib.contextmanager
    def one(self) -> Iterator[str]:
        """The URL of a database of the caller's own."""
        name, url = self._next.result()
        self._next = self._pool.submit(self._make)
        yield url
        self._pool.submit(self._forget, name)

    def close(self) -> None:
        name, _ = self._next.result()
        self._pool.submit(self._forget, name).result()
        self._pool.shutdown()


@contextlib.contextmanager
def _maintenance() -> Iterator[psycopg2.extensions.cursor]:
    url = make_url(os.environ["TEST_DATABASE_URL"]).set(drivername="postgresql")
    connection = psycopg2.connect(url.render_as_string(hide_password=False))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def _url_of(database: str) -> str:
    url = make_url(os.environ["TEST_DATABASE_URL"])
    return url.set(drivername="postgresql+psycopg2", database=database).render_as_string(
        hide_password=False
    )


def _create(name: str, template: str) -> str:
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with _maintenance() as cursor:
        _once_nobody_is_in(cursor, create.format(sql.Identifier(name), sql.Identifier(template)))
    return _url_of(name)


def _once_nobody_is_in(cursor: psycopg2.extensions.cursor, statement: sql.Composable) -> None:
    """PostgreSQL waits five seconds for who is on the way out; on a busy machine that is short."""
    for turn in range(DROP_TRIES):
        try:
            cursor.execute(statement)
            return
        except psycopg2.errors.ObjectInUse:
            if turn == DROP_TRIES - 1:
                raise
            time.sleep(0.2)


def _migrate(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "payment_service", "db", "upgrade"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        pytest.fail(f"flask db upgrade failed:\n{done.stderr[-3000:]}", pytrace=False)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, written in report.sections:
        WATCH.look(f"{report.nodeid}: {name}", written)


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Once all tests of this worker are done: whatever they wrote holds no secret of a setting."""
    yield
    for folder in (tmp_path_factory.getbasetemp(), Path(os.environ["TEST_SERVERS"])):
        WATCH.look_in_files(folder)
    assert not WATCH.found, "a secret of the settings was seen:\n" + "\n".join(WATCH.found)


@pytest.fixture(scope="session")
def servers() -> None:
    if missing := os.environ.get("TEST_SERVER_MISSING"):
        pytest.skip(missing)


@pytest.fixture(scope="session")
def template_database(servers: None) -> str:
    """The name of a database with all migrations in it, made by the worker that asks first."""
    name = f"test_{os.environ['TEST_RUN']}_template"
    with _maintenance() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if cursor.fetchone() is None:
            _migrate(_create(f"{name}_new", "template0"))
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            _once_nobody_is_in(
                cursor, rename.format(sql.Identifier(f"{name}_new"), sql.Identifier(name))
            )
    return name


@pytest.fixture(scope="session")
def postgres_url(template_database: str) -> Iterator[str]:
    """A migrated database of this xdist worker's own."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    url = _create(f"test_{os.environ['TEST_RUN']}_{worker}", template_database)
    yield url
    WATCH.look_in_database(url)


@pytest.fixture(scope="session")
def _migrated(template_database: str) -> Iterator[_Databases]:
    with contextlib.closing(_Databases(template_database)) as databases:
        yield databases


@pytest.fixture(scope="session")
def _bare(servers: None) -> Iterator[_Databases]:
    with contextlib.closing(_Databases("template0")) as databases:
        yield databases


@pytest.fixture
def fresh_database(_migrated: _Databases) -> Iterator[str]:
    """One more migrated, empty database, for a test that needs one whole."""
    with _migrated.one() as url:
        yield url


@pytest.fixture(scope="module")
def database_of_module(_migrated: _Databases) -> Iterator[str]:
    """A migrated database in which a module's tests find nothing but what they made."""
    with _migrated.one() as url:
        yield url


@pytest.fixture
def bare_database(_bare: _Databases) -> Iterator[str]:
    """A database without any table."""
    with _bare.one() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(servers: None) -> Iterator[str]:
    """An empty Redis database of this xdist worker's own."""
    worker = re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or "0"
    # Redis has 16; number 0 is left to whatever else uses the server.
    url = make_url(os.environ["TEST_REDIS_URL"]).set(database=str(int(worker) % 15 + 1))
    text = url.render_as_string(hide_password=False)
    with redis.Redis.from_url(text) as client:
        client.flushdb()
    yield text
    WATCH.look_in_redis(text)
