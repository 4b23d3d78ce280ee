"""oidc-provider, a certified identity provider, as a process of its own. It needs Node.js: that of
`make clients`, or the machine's."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from tests.node_packages import installed
from tests.patience import PATIENCE
from tests.sandbox_server import ROOT, reserved_port

HERE = ROOT / "tests/identity"
WORK = ROOT / ".identity"
"""Where npm puts what package-lock.json names."""
CLIENT = ("trip-service", "a-secret-of-tests")
PANEL = ("payments-panel", "a-secret-of-the-panel")
"""Comes back to http://localhost:<any port>/admin/sso/callback."""


class Issuer:
    """One that runs. `url` is its name."""

    def __init__(self, node: str, log: Path) -> None:
        self._reserved = reserved_port()
        self.url = f"http://127.0.0.1:{self._reserved.getsockname()[1]}"
        self._node, self._log = node, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._node, "server.mjs", self.url.rsplit(":", 1)[1]],
                cwd=WORK,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # the node of a wheel is a script that starts the real one
            )
        until = time.monotonic() + PATIENCE
        while b"listening" not in self._log.read_bytes():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"it did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    def send(self, number: int) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self.send(signal.SIGCONT)
                self.send(signal.SIGKILL)
            self._process.wait()
            until = time.monotonic() + PATIENCE
            while self._listens():  # the real one is not our child, and dies a little later
                assert time.monotonic() < until, "it outlives a kill -9"
                time.sleep(0.01)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(self._reserved.getsockname()) == 0

    def close(self) -> None:
        self.kill()
        self._reserved.close()

    def token(self, scope: str = "payments:read payments:write") -> str:
        answer = requests.post(
            f"{self.url}/token",
            data={"grant_type": "client_credentials", "scope": scope},
            auth=CLIENT,
            timeout=PATIENCE,
        )
        assert answer.status_code == 200, answer.text
        made: str = answer.json()["access_token"]
        return made

    def people(self, **roles: list[str]) -> None:
        """Says who has which roles; whoever is not named has none."""
        answer = requests.post(f"{self.url}/people", json=roles, timeout=PATIENCE)
        assert answer.status_code == 200

    def rotate(self) -> None:
        assert requests.post(f"{self.url}/rotate", timeout=PATIENCE).status_code == 200


@contextlib.contextmanager
def running_issuer(directory: Path) -> Iterator[Issuer]:
    """Skips the test where there is no Node.js or no registry; in CI that is an error."""
    issuer = Issuer(installed(HERE, WORK), directory / "issuer.log")
    try:
        issuer.start()
        yield issuer
    finally:
        issuer.close()
