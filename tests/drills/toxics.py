"""Toxiproxy between the service and what it stands on: slow, cut in the middle, half open."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from tests.patience import PATIENCE
from tests.sandbox_server import ROOT, reserved_port

PROGRAM = ROOT / ".shipping" / "bin" / "toxiproxy-server"
"""Where `make drill-network` puts it."""


class Toxiproxy:
    """One process with a proxy for each of several servers."""

    def __init__(self, directory: Path) -> None:
        self._reservation = reserved_port()
        self._port = self._reservation.getsockname()[1]
        self._url = f"http://127.0.0.1:{self._port}"
        self._log = directory / "toxiproxy.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises RuntimeError where it is not built."""
        if not os.access(PROGRAM, os.X_OK):
            raise RuntimeError(f"{PROGRAM.relative_to(ROOT)} is missing: make drill-network")
        self._reservation.close()
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [str(PROGRAM), "-host", "127.0.0.1", "-port", str(self._port)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(requests.RequestException):
                requests.get(f"{self._url}/version", timeout=1)
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"toxiproxy did not start: {self._log.read_text()[-500:]}")
            time.sleep(0.05)

    def stands_before(self, name: str, port: int) -> int:
        """The port of a new proxy of that name before a server on this machine."""
        body = {"name": name, "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{port}"}
        return int(self._call("POST", "/proxies", body)["listen"].rpartition(":")[2])

    @contextlib.contextmanager
    def poisoned(self, name: str, kind: str, stream: str, **attributes: int) -> Iterator[None]:
        """One toxic on one proxy, for the length of a with-block. `stream` is downstream for
        answers, upstream for what is asked."""
        body = {"name": kind, "type": kind, "stream": stream, "attributes": attributes}
        self._call("POST", f"/proxies/{name}/toxics", body)
        try:
            yield
        finally:
            self._call("DELETE", f"/proxies/{name}/toxics/{kind}")

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(PATIENCE)
        self._reservation.close()

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = requests.request(method, self._url + path, json=body, timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json() if answer.content else None
