"""Exports from a real server, as clients read them who stop, leave, or are left."""

from __future__ import annotations

import contextlib
import csv
import http.client
import io
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from payment_service.domain.operators import Role
from tests.books import execute, rows
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp, a_number
from tests.patience import PATIENCE
from tests.running_service import Service
from tests.sandbox_calls import eventually
from tests.slow import Slow, slow_client
from tests.test_exports import fill
from tests.test_slow_clients import cuts, port_of

pytestmark = pytest.mark.slow

USUAL_SECONDS = 1.5
ROWS = 20_000
"""Some 2.5 MB: far more than two sockets keep for whoever reads nothing."""


class Impatient(Service):
    """The service whose exports wait as long as other answers."""

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        return super()._spawn(*command[:-1], "tests.exporting_app:create_app()")


Start = Callable[..., Service]


@pytest.fixture(scope="module")
def app(make_app: MakeApp, postgres_url: str) -> Flask:
    return make_app(**KEYS, operator_mfa="optional", database_url=postgres_url)


@pytest.fixture
def start(tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[Start]:
    """Starts one service of one process, whose pools have one connection each."""
    made: list[Service] = []

    def run(kind: type[Service] = Service, **env: str) -> Service:
        given = {
            "DATABASE_URL": postgres_url,
            "REDIS_URL": redis_url,
            "SECRET_KEY": KEYS["secret_key"],
            "ENCRYPTION_KEYS": KEYS["encryption_keys"],
            "OPERATOR_MFA": "optional",
            "WEB_WORKERS": "1",
            "DB_POOL_SIZE": "1",
            "LOG_LEVEL": "WARNING",
            "REQUEST_READ_SECONDS": str(USUAL_SECONDS),
        }
        made.append(kind(tmp_path / str(len(made)), **(given | env)))
        made[-1].start()
        return made[-1]

    yield run
    for service in made:
        service.close()


class Reader:
    """An operator's browser that asks for a file, and reads it as it likes."""

    def __init__(
        self, app: Flask, service: Service, path: str, version: str = "1.1", kept: int = 4096
    ) -> None:
        """`kept` bytes are what the kernel keeps for it while it does not read."""
        cookie = Desk(app).join(Role.OPERATOR).cookie()
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kept)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(("127.0.0.1", port_of(service)))
        head = f"GET {path} HTTP/{version}\r\nHost: localhost\r\nCookie: payments_dev={cookie}\r\n"
        self.sock.sendall(f"{head}\r\n".encode())
        self.answer = http.client.HTTPResponse(self.sock)

    def begins(self) -> int:
        self.answer.begin()
        return self.answer.status

    def close(self) -> None:
        self.answer.close()
        self.sock.close()


Read = Callable[..., Reader]


@pytest.fixture
def reading(app: Flask) -> Iterator[Read]:
    """Makes readers, and has them leave at the end."""
    with contextlib.ExitStack() as readers:

        def read(*args: Any, **kwargs: Any) -> Reader:
            return readers.enter_context(contextlib.closing(Reader(app, *args, **kwargs)))

        yield read


def table(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def acts(app: Flask, rider: int) -> list[str]:
    query = "SELECT act FROM audit_log WHERE body LIKE :rider ORDER BY audit_id"
    return [row["act"] for row in rows(app, query, rider=f"%{rider}%")]


def test_a_reader_who_stops_holds_nothing_and_loses_nothing(
    app: Flask, start: Start, reading: Read
) -> None:
    rider = a_number()
    fill(app, ROWS, rider)
    service = start()
    reader = reading(service, f"/admin/payments.csv?rider_id={rider}")
    assert reader.begins() == 200
    first = reader.answer.read(100)
    # Another who stops is cut off meanwhile, so the times of other answers are over.
    other = slow_client(port_of(service), Slow.ANSWER)
    eventually(lambda: cuts(service).get("answer"))
    other.close()
    # Each pool has one connection: nobody could be served if the export held it.
    assert service.get("/v1/payments?limit=1").status_code == 200
    assert service.get("/admin/login").status_code == 200
    found = table(first + reader.answer.read())
    assert [row["amount"] for row in found[:2]] == [f"{ROWS / 100:.2f}", f"{(ROWS - 1) / 100:.2f}"]
    assert len({row["payment_id"] for row in found}) == ROWS
    assert acts(app, rider) == ["export_begun", "exported"]


def test_who_stops_for_too_long_is_left(app: Flask, start: Start, reading: Read) -> None:
    rider = a_number()
    fill(app, ROWS, rider)
    service = start(Impatient)
    for _ in range(2):  # and both places are free again
        before = cuts(service).get("answer", 0)
        readers = [reading(service, f"/admin/payments.csv?rider_id={rider}") for _ in range(2)]
        assert [reader.begins() for reader in readers] == [200, 200]
        eventually(lambda before=before: cuts(service).get("answer", 0) == before + 2)
        for reader in readers:
            with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
                reader.answer.read()
    assert set(acts(app, rider)) == {"export_begun"}


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_an_error_in_the_middle_breaks_the_transfer(
    app: Flask, start: Start, reading: Read, version: str
) -> None:
    """For a client that knows no chunks as well."""
    rider = a_number()
    fill(app, ROWS, rider)
    service = start()
    reader = reading(service, f"/admin/payments.csv?rider_id={rider}", version)
    assert reader.begins() == 200
    execute(app, "ALTER TABLE payments RENAME TO gone")
    try:
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            reader.answer.read()
    finally:
        execute(app, "ALTER TABLE gone RENAME TO payments")
    assert acts(app, rider) == ["export_begun"]
    assert service.get("/admin/login").status_code == 200


def test_a_large_file_grows_the_process_little(app: Flask, start: Start, reading: Read) -> None:
    rider = a_number()
    fill(app, 200_000, rider, "a description of usual length, with nothing in it")
    service = start(REQUEST_READ_SECONDS="60")
    (process,) = service.web_workers()
    small = reading(service, "/admin/refunds.csv")
    assert small.begins() == 200
    small.answer.read()
    before = process.memory_info().rss
    most, count = before, 0
    reader = reading(service, f"/admin/payments.csv?rider_id={rider}", kept=256 * 1024)
    assert reader.begins() == 200
    while piece := reader.answer.read(1024 * 1024):
        count += piece.count(b"\r\n")
        most = max(most, process.memory_info().rss)
    assert count == 200_001
    assert most - before < 30 * 1024 * 1024
