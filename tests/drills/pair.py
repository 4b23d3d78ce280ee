"""A PostgreSQL primary and its standby, and a stage that stands on both."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from payment_service import embedded
from payment_service.embedded.account import account_of, acting_as, give
from tests.drills.stages import DrillStage

STANDBY = "standby"
SETTINGS = {"client_connection_check_interval": "200ms", "max_wal_senders": "4"}
PATIENCE_SECONDS = 60.0


class Pair:
    """Two servers by TCP; the service is told both addresses, and asks for the one that writes."""

    def __init__(self, directory: Path) -> None:
        self.places = [directory / "primary", directory / STANDBY]
        self._servers: list[embedded.Server] = []

    @property
    def url(self) -> str:
        """As DATABASE_URL, with both hosts."""
        password = (self.places[0] / "password").read_text().strip()
        hosts = "&".join(f"host=127.0.0.1:{self._port(place)}" for place in self.places)
        return (
            f"postgresql+psycopg2://payments:{password}@/payments?{hosts}"
            "&target_session_attrs=read-write"
        )

    def address(self, which: int) -> str:
        """Of one of them alone, whether it writes or not."""
        password = (self.places[0] / "password").read_text().strip()
        port = self._port(self.places[which])
        return f"postgresql://payments:{password}@127.0.0.1:{port}/payments"

    def start(self, *, synchronous: bool) -> None:
        """Both, the standby in step with the primary before anybody writes."""
        first, second = self.places
        self._servers = [embedded.start_postgres(first, settings=SETTINGS, by_tcp=True)]
        self._copy(first, second)
        self._servers.append(embedded.start_postgres(second, settings=SETTINGS, by_tcp=True))
        if synchronous:
            self.say(0, f"ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 ({STANDBY})'")
            self.say(0, "SELECT pg_reload_conf()")
        wanted = "sync" if synchronous else "async"
        _until(lambda: self._replicates(wanted), f"the standby to be {wanted}")

    def hold_back(self) -> psutil.Process:
        """Stops the process that sends to the standby: from now on the primary is alone."""
        (row,) = self.say(0, "SELECT pid FROM pg_stat_replication")
        sender = psutil.Process(row[0])
        sender.suspend()
        return sender

    def kill_primary(self) -> None:
        """kill -9 of all its processes at once, as a machine dies."""
        primary = self._servers[0].process
        family = [primary, *primary.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        _until(lambda: not self._servers[0].alive(), "the primary to be dead")

    def promote(self) -> None:
        """The standby takes over. It has no standby of its own, and waits for none."""
        self.say(1, "SELECT pg_promote(true, 30)")

    def stop_standby(self) -> None:
        self._servers[1].stop()

    def start_standby(self) -> None:
        """Once more, after it was stopped."""
        place = self.places[1]
        self._servers[1] = embedded.start_postgres(place, settings=SETTINGS, by_tcp=True)

    def close(self) -> None:
        for server in self._servers:
            server.stop()

    def _copy(self, first: Path, second: Path) -> None:
        second.mkdir(mode=0o700)
        shutil.copy2(first / "password", second / "password")
        account = account_of(first / "data")
        staging = second / "data"
        staging.mkdir(mode=0o700)
        give(staging, account)
        password = (first / "password").read_text().strip()
        source = (
            f"host=127.0.0.1 port={self._port(first)} user=postgres password={password}"
            f" application_name={STANDBY}"
        )
        done = subprocess.run(
            [
                *acting_as(account), str(embedded.bin_dir() / "pg_basebackup"), "-d", source,
                "-D", str(staging), "-R", "-C", "-S", STANDBY, "-X", "stream", "-c", "fast",
            ],
            capture_output=True, text=True, timeout=120, cwd="/",
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"pg_basebackup: {done.stderr[-1000:]}")

    def _replicates(self, wanted: str) -> bool:
        rows = self.say(0, "SELECT state, sync_state FROM pg_stat_replication")
        return rows == [("streaming", wanted)]

    def say(self, which: int, statement: str) -> list[tuple[Any, ...]]:
        """As superuser, on one of the two."""
        place = self.places[which]
        password = (place / "password").read_text().strip()
        connection = psycopg2.connect(
            host="127.0.0.1", port=self._port(place), user="postgres", password=password,
            dbname="postgres",
        )  # fmt: skip
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def _port(self, place: Path) -> int:
        return int((place / "port").read_text())


class PairStage(DrillStage):
    """The drills' stage, on a pair."""

    def __init__(self, directory: Path, say: Callable[[str], None], *, synchronous: bool) -> None:
        super().__init__(directory, say)
        self.pair, self._synchronous = Pair(directory), synchronous

    def start_postgres(self) -> None:
        self.pair.start(synchronous=self._synchronous)

    def close(self) -> None:
        super().close()
        self.pair.close()

    @property
    def database_url(self) -> str:
        return self.pair.url

    @contextlib.contextmanager
    def connect(self, database: str | None = None) -> Iterator[Any]:
        """To the server that writes, as the service does; it may be away for a moment."""
        ports = [(place / "port").read_text().strip() for place in self.pair.places]
        connection = psycopg2.connect(
            host="127.0.0.1,127.0.0.1", port=",".join(ports), user="payments",
            password=(self.pair.places[0] / "password").read_text().strip(),
            dbname=database or "payments", target_session_attrs="read-write",
        )  # fmt: skip
        try:
            connection.autocommit = True
            yield connection
        finally:
            connection.close()


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE_SECONDS:.0f} s for {what}")
        time.sleep(0.05)
