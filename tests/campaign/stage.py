"""Everything that runs for a campaign: servers, sandbox, service. Started here, and ended here."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import requests
from sqlalchemy.engine import make_url

from payment_service import config, embedded
from payment_service.embedded.server import lives
from tests.campaign import dialects, timing
from tests.campaign.copies import copied
from tests.rabbitmq_server import Broker, find_server
from tests.sandbox_server import ROOT, Sandbox, reserved_port

SINK_URLS = (
    "ORDER_SERVICE_URL",
    "INVENTORY_SERVICE_URL",
    "NOTIFICATION_SERVICE_URL",
    "TRIP_STATUS_SERVICE_URL",
    "DRIVER_SERVICE_URL",
    "RIDER_SERVICE_URL",
)
READY_SECONDS = 180.0
LET_GO_SECONDS = 15.0
"""How long the workers of a killed master may take to notice; then they are killed as well."""

# Settings of the service in the environment would change what is proven here.
_SETTINGS = {field.name.upper() for field in dataclasses.fields(config.Settings)}
_PREFIXES = ("DB_", "REDIS_", "RABBITMQ_", "WEB_", "FLASK_", "GUNICORN_", "SANDBOX_", "OTEL_")


class Stage:
    """One of everything. Each part can be killed and started again at any time."""

    def __init__(
        self,
        directory: Path,
        tree: Path,
        say: Callable[[str], None],
        check: Callable[[], None],
        others: Sequence[dialects.Dialect] = (),
    ) -> None:
        self.directory, self.say, self._check, self.dialects = directory, say, check, others
        self.tree = copied(tree, directory / "tree")
        self.sandbox = Sandbox(directory / "sandbox")
        self.sandbox.root = copied(ROOT, directory / "outside")
        script = find_server()
        self.broker = Broker(directory / "rabbitmq", script) if script else None
        self._reservation = reserved_port()
        self.url = f"http://127.0.0.1:{self._reservation.getsockname()[1]}"
        self._servers: dict[str, embedded.Server] = {}
        self.web: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        self._orphans: list[psutil.Process] = []
        self.env: dict[str, str] = {}
        self.longest_pause = timing.LONGEST_PAUSE_SECONDS

    # -- the whole

    def start(self) -> None:
        """Starts all of it; returns once the service is ready. Raises what `check` raises."""
        steps: list[Callable[[], Any]] = [self.start_postgres, self.start_redis]
        steps += [self.broker.start] if self.broker else []
        outside = dialects.of_sandbox(self.sandbox, self.url)
        steps += [partial(self.sandbox.start, **outside), self._migrate, self.start_web]
        for step in (*steps, self.start_worker, self.start_worker):
            self._check()
            step()

    def close(self) -> None:
        """Ends all that was started, whatever is missing."""
        steps: list[Callable[[], Any]] = [self._end_web]
        steps += [partial(_end, worker) for worker in self.workers]
        steps += [self.sandbox.close, self._reservation.close]
        steps += [server.stop for server in self._servers.values()]
        if self.broker:
            steps.append(self.broker.close)
        for step in steps:
            try:
                step()
            except Exception as error:
                self.say(f"closing: {error!r}")

    def _environment(self) -> dict[str, str]:
        metrics = self.directory / "metrics"
        metrics.mkdir(exist_ok=True)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in _SETTINGS and not name.startswith(_PREFIXES)
        }
        return {
            **inherited,
            **timing.SERVICE,
            "RESOLUTION_BACKOFF_MAX_SECONDS": str(self.longest_pause),
            **dict.fromkeys(SINK_URLS, self.sandbox.url),
            **dialects.of_service(self.dialects, self.sandbox, self.url),
            "PYTHONDONTWRITEBYTECODE": "1",
            "FLASK_APP": "payment_service",
            "SERVICE_PORT": self.url.rsplit(":", 1)[1],
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
            "DATABASE_URL": self.database_url,
            "AUTH_MODE": "off",
            "REDIS_URL": self.redis_url,
            "SANDBOX_PROVIDER_URL": self.sandbox.url,
            "TRIP_SERVICE_URL": self.sandbox.url,
            **({"RABBITMQ_URL": self.broker.url} if self.broker else {}),
        }

    # -- servers

    def start_postgres(self) -> None:
        """A cluster of its own with fsync on, as in production."""
        # A connection that died in the middle of a statement is noticed while it waits.
        settings = {"client_connection_check_interval": "200ms"}
        place = self.directory / "postgres"
        self._servers["postgres"] = embedded.start_postgres(place, settings=settings)

    def crash_postgres(self) -> None:
        """`pg_ctl stop -m immediate`: no goodbye, no checkpoint; recovery at the next start."""
        server = self._servers["postgres"]
        server.process.send_signal(signal.SIGQUIT)
        _wait_for(lambda: not server.alive(), 120, "PostgreSQL to stop")

    def start_redis(self) -> None:
        self._servers["redis"] = embedded.start_redis(self.directory / "redis")

    def kill_redis(self) -> None:
        server = self._servers["redis"]
        server.process.kill()
        _wait_for(lambda: not server.alive(), 120, "Redis to stop")

    @property
    def redis_url(self) -> str:
        return self._servers["redis"].url

    @property
    def database_url(self) -> str:
        return self._servers["postgres"].url

    def postgres_version(self) -> str:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            return str(cursor.fetchone()[0])

    @contextlib.contextmanager
    def connect(self, database: str | None = None) -> Iterator[Any]:
        """A connection of the campaign's own, in AUTOCOMMIT, to the service's database if no other
        one is named."""
        url = make_url(self.database_url).set(drivername="postgresql")
        url = url.set(database=database) if database else url
        connection = psycopg2.connect(url.render_as_string(hide_password=False))
        try:
            connection.autocommit = True
            yield connection
        finally:
            connection.close()

    # -- the service

    def start_web(self) -> None:
        """gunicorn; returns once it is ready."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            if self.web is None or self.web.poll() is not None:
                # gunicorn gives up after a few tries if the port is still held by an orphan.
                config = str(self.tree / "gunicorn.conf.py")
                app = "payment_service:create_app()"
                self.web = self._spawn("web", "-m", "gunicorn", "-c", config, app)
            if self.answers():
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the service did not start: see {self.directory}/web.log")
            time.sleep(0.1)

    def answers(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.url}/health/ready", timeout=2).status_code == 200
        return False

    def web_workers(self) -> list[psutil.Process]:
        """gunicorn's workers; empty while there is no master."""
        if self.web is None or self.web.poll() is not None:
            return []
        with contextlib.suppress(psutil.Error):
            return list(psutil.Process(self.web.pid).children())
        return []

    def kill_master(self) -> None:
        """kill -9 of gunicorn's master; its workers must end by themselves."""
        assert self.web is not None
        self._orphans = self.web_workers()
        self.web.kill()
        self.web.wait()
        with contextlib.suppress(TimeoutError):
            _wait_for(lambda: not any(map(lives, self._orphans)), LET_GO_SECONDS, "orphans")
        for orphan in filter(lives, self._orphans):
            self.say(f"web worker {orphan.pid} outlived its master by {LET_GO_SECONDS} s: killed")
            _kill(orphan)
        self._orphans = []

    def start_worker(self) -> None:
        """One more `flask worker`."""
        self.workers.append(self._spawn("worker", "-m", "flask", "worker"))

    def kill_worker(self, which: int) -> None:
        """kill -9 of one `flask worker`."""
        worker = self.workers.pop(which)
        worker.kill()
        worker.wait()

    def holder_of(self, port: int) -> psutil.Process | None:
        """The web worker that serves the connection which was made from this local port."""
        for worker in self.web_workers():
            with contextlib.suppress(psutil.Error):
                for found in worker.net_connections("tcp4"):
                    if found.raddr and found.raddr.port == port:
                        return worker
        return None

    def flask(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A flask command of the service under test, whatever it answers. One that hangs is told
        with who held it up."""
        try:
            return subprocess.run(
                [sys.executable, "-m", "flask", *command],
                cwd=self.tree, env=self.env, capture_output=True, text=True, timeout=300,
            )  # fmt: skip
        except subprocess.TimeoutExpired as hung:
            with self.connect() as connection, connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pid, pg_blocking_pids(pid), state, wait_event, now() - xact_start,"
                    " left(query, 120) FROM pg_stat_activity WHERE xact_start IS NOT NULL"
                )
                activity = "\n".join(map(str, cursor.fetchall()))
            raise RuntimeError(f"{hung}; at the database:\n{activity}") from hung

    def _migrate(self) -> None:
        self.env = self._environment()
        done = self.flask("db", "upgrade")
        if done.returncode != 0:
            raise RuntimeError(f"flask db upgrade failed:\n{done.stderr[-2000:]}")

    def _spawn(self, log: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{log}.log").open("ab") as out:
            return subprocess.Popen(
                [sys.executable, *command],
                cwd=self.tree, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip

    def _end_web(self) -> None:
        workers = [*self.web_workers(), *self._orphans]
        if self.web is not None:
            _end(self.web)
        for worker in workers:
            _kill(worker)


def _kill(process: psutil.Process) -> None:
    # psutil makes sure that the number is still this process's own.
    with contextlib.suppress(psutil.Error):
        process.resume()
        process.kill()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def _wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


__all__ = ["ROOT", "Stage"]
