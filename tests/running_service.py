"""The real service under gunicorn, for tests: started on a free port, killed, stopped, asked."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import requests

from tests.canaries import WATCH
from tests.patience import ENVIRONMENT, PATIENCE
from tests.sandbox_server import ROOT, reserved_port

ENCRYPTION_KEYS = "k1:b5pBd0mR8sYw3vQe7uXz1kLj9hGf2nTc4aWq6iOlPrU="
"""Those under which other tests may have left rows in the same database."""

APP = "payment_service:create_app()"

DROPPED = ("DATABASE_URL", "REDIS_URL", "RABBITMQ_URL", "GUNICORN_CMD_ARGS", "FLASK_APP")


class Service:
    """gunicorn with the app, and on demand flask workers, on one database and one sandbox.

    `tree` is the checkout whose code runs.
    """

    def __init__(self, directory: Path, tree: Path = ROOT, **env: str) -> None:
        self.directory = directory
        self.tree = tree
        self._reservation = reserved_port()
        self.url = f"http://127.0.0.1:{self._reservation.getsockname()[1]}"
        self.log = directory / "service.log"
        self.app = APP
        self.processes: list[subprocess.Popen[bytes]] = []
        self.web: subprocess.Popen[bytes] | None = None
        clean = {name: value for name, value in os.environ.items() if name not in DROPPED}
        metrics = directory / "metrics"
        metrics.mkdir(parents=True, exist_ok=True)
        self.env = {
            **clean,
            "FLASK_APP": "payment_service",
            "AUTH_MODE": "off",
            "ENCRYPTION_KEYS": ENCRYPTION_KEYS,
            "SERVICE_PORT": self.url.rsplit(":", 1)[1],
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
            "WEB_GRACEFUL_TIMEOUT": "3",
            **env,
        }

    def start(self, **env: str) -> None:
        """Starts gunicorn and returns once it is ready; `env` stays for later starts."""
        self.env |= env
        WATCH.note({name.lower(): value for name, value in self.env.items()})
        settings = str(self.tree / "gunicorn.conf.py")
        self.web = self._spawn("-m", "gunicorn", "-c", settings, self.app)
        deadline = time.monotonic() + PATIENCE
        while not self._ready():
            if self.web.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the service did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def start_worker(self, **env: str) -> subprocess.Popen[bytes]:
        """Starts one `flask worker`."""
        self.env |= env
        return self._spawn("-m", "flask", "worker")

    def web_workers(self) -> list[psutil.Process]:
        """gunicorn's worker processes."""
        assert self.web is not None
        return list(psutil.Process(self.web.pid).children())

    def kill(self) -> None:
        """kill -9 of everything that was started."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes = []

    def close(self) -> None:
        """Kills it and gives the port back."""
        self.kill()
        self._reservation.close()

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """One HTTP request to it."""
        kwargs.setdefault("timeout", PATIENCE)
        return requests.request(method, self.url + path, **kwargs)

    def get(self, path: str, **kwargs: Any) -> requests.Response:
        return self.request("GET", path, **kwargs)

    def post(self, path: str, body: Any = None, **kwargs: Any) -> requests.Response:
        return self.request("POST", path, json=body, **kwargs)

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.tree,
                env=self.env,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def _ready(self) -> bool:
        try:
            return self.get("/health/ready").status_code == 200
        except requests.RequestException:
            return False


@contextlib.contextmanager
def running_service(
    directory: Path, *, database_url: str, app: str = APP, **env: str
) -> Iterator[Service]:
    """A started service, killed at the end; it doesn't time out because the machine is busy."""
    service = Service(directory, DATABASE_URL=database_url, **ENVIRONMENT | env)
    service.app = app
    try:
        service.start()
        yield service
    finally:
        service.close()
