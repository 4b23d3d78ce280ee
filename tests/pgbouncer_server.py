"""A real PgBouncer of the tests' own, in transaction mode, on a free port before a database."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL, make_url

from payment_service.embedded.account import acting_as
from tests.patience import PATIENCE
from tests.sandbox_server import reserved_port

NOBODY = 65534


def installed() -> str:
    """The program. Where it is not installed the test is skipped, and under CI it fails."""
    # Debian has it where only root looks.
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("pgbouncer is not installed (apt-get install pgbouncer)")
    return program


class Bouncer:
    """One PgBouncer that lends `backends` connections of the database; `url` is the database's,
    through it."""

    def __init__(self, directory: Path, program: str, database_url: str, backends: int) -> None:
        self._reservation = reserved_port()
        self._port: int = self._reservation.getsockname()[1]
        self._program, self._directory = program, directory
        self._database = make_url(database_url)
        self._account = _account(_host(self._database)) if os.geteuid() == 0 else None
        self.backends, self.mode, self.ignored, self.waits = backends, "transaction", "", 20
        through = self._database.set(host="127.0.0.1", port=self._port, query={})
        self.url = through.render_as_string(hide_password=False)
        self.log = directory / "pgbouncer.out"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and returns once it takes connections."""
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "users.txt").write_text(
            f'"{self._database.username}" "{self._database.password}"\n'
        )
        config = self._directory / "pgbouncer.ini"
        config.write_text(self._config())
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*acting_as(self._account), self._program, str(config)],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(f"PgBouncer did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def _config(self) -> str:
        database = self._database
        port = database.port or database.query.get("port", "5432")
        return f"""
[databases]
{database.database} = host={_host(database)} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self._port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {self._directory}/users.txt
pool_mode = {self.mode}
default_pool_size = {self.backends}
max_client_conn = 300
# Whoever holds a backend while he waits for another one is found out by this.
query_wait_timeout = {self.waits}
ignore_startup_parameters = {self.ignored}
"""

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), 1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Kills it and gives the port back."""
        self.kill()
        self._reservation.close()


def _host(database: URL) -> str:
    return database.host or str(database.query["host"])


def _account(host: str) -> int:
    """PgBouncer refuses root. A server's socket may be open to the server's own account only."""
    return os.stat(host).st_uid if host.startswith("/") else NOBODY


@contextlib.contextmanager
def running_pgbouncer(
    directory: Path,
    database_url: str,
    backends: int,
    *,
    mode: str = "transaction",
    ignored: str = "",
) -> Iterator[Bouncer]:
    """One for the length of a with-block."""
    bouncer = Bouncer(directory, installed(), database_url, backends)
    bouncer.mode, bouncer.ignored = mode, ignored
    try:
        bouncer.start()
        yield bouncer
    finally:
        bouncer.close()
