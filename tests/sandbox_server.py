"""A real sandbox under gunicorn, for tests: started on a free port, killed, started again."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.certificates import Authority
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[1]


def reserved_port() -> socket.socket:
    """A bound socket that never listens: keeps its port from everyone who asks for a free one.

    A server that sets SO_REUSEADDR, as gunicorn does, may still listen there; while none does,
    connections are refused, as they are when a service is down.
    """
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(("127.0.0.1", 0))
    return reservation


class Sandbox:
    """One sandbox with its own directory; `url` stays the same over restarts."""

    def __init__(self, directory: Path, **env: str) -> None:
        self.directory = directory
        self.root = ROOT
        self._reservation = reserved_port()
        self.port: int = self._reservation.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._swish = reserved_port()
        self.swish_url = f"https://127.0.0.1:{self._swish.getsockname()[1]}"
        directory.mkdir(parents=True, exist_ok=True)
        self.authority = Authority(directory)
        self.authority.vouch_for("server")
        self.env = {
            "SANDBOX_DIR": str(directory),
            "SANDBOX_PORT": str(self.port),
            "SANDBOX_SWISH_PORT": self.swish_url.rpartition(":")[2],
            "SANDBOX_SWISH_DIR": str(directory),
            **env,
        }
        self.log = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def journal(self) -> Path:
        """The file that outlives the process."""
        return self.directory / "journal.jsonl"

    @property
    def requests(self) -> Path:
        """What it was asked, where SANDBOX_REQUESTS names a file."""
        return Path(self.env["SANDBOX_REQUESTS"])

    @property
    def pid(self) -> int:
        """gunicorn's process id while the sandbox runs."""
        assert self._process is not None
        return self._process.pid

    def start(self, **env: str) -> None:
        """Start, and return once it answers; `env` is added for this and later starts."""
        self.env |= env
        self.directory.mkdir(parents=True, exist_ok=True)
        clean = {name: value for name, value in os.environ.items() if name[:8] != "SANDBOX_"}
        clean.pop("GUNICORN_CMD_ARGS", None)
        command = [sys.executable, "-m", "gunicorn", "payment_service.sandbox:create_app()"]
        command += ["-c", str(self.root / "payment_service" / "sandbox" / "gunicorn.conf.py")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.root,
                env=clean | self.env,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            self._await_health()
        except BaseException:
            self.kill()
            raise

    def _await_health(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            if self.answers():
                return
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the sandbox did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether the sandbox answers."""
        try:
            with urlopen(f"{self.url}/health", timeout=PATIENCE):
                return True
        except (URLError, ConnectionError, TimeoutError):
            return False

    def kill(self) -> None:
        """kill -9 of gunicorn and its worker, without a word; connections are refused then."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        deadline = time.monotonic() + PATIENCE
        while not self._refuses():  # the worker is not our child, and dies a little later
            assert time.monotonic() < deadline, "it outlives a kill -9"
            time.sleep(0.01)

    def _refuses(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == errno.ECONNREFUSED

    def stop(self) -> int:
        """Ask it to end, and wait until it has; its exit code."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(timeout=PATIENCE)
        self.kill()
        return code

    def close(self) -> None:
        """Kill it and give the port back."""
        self.kill()
        self._reservation.close()
        self._swish.close()

    def restart(self, **env: str) -> None:
        """kill -9 and start again on the same port and journal."""
        self.kill()
        self.start(**env)


@contextlib.contextmanager
def running_sandbox(directory: Path, **env: str) -> Iterator[Sandbox]:
    """A sandbox for the length of a with-block, killed at its end."""
    sandbox = Sandbox(directory, **env)
    try:
        sandbox.start()
        yield sandbox
    finally:
        sandbox.close()
