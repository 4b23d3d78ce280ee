"""`make run` of a checkout, on ports and with a VAR_DIR of its own: all processes, until the end of
the block."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts import databases
from tests.patience import PATIENCE
from tests.sandbox_server import ROOT, reserved_port


@dataclass(frozen=True)
class Addresses:
    service: str
    sandbox: str


def environment(directory: Path, service: str, sandbox: str) -> dict[str, str]:
    """Of a `make run` with embedded servers in `directory`, on these ports."""
    unset = {name for names in databases.NAMED_BY.values() for name in names}
    given = {name: value for name, value in os.environ.items() if name not in unset}
    return given | {"SERVICE_PORT": service, "SANDBOX_PORT": sandbox, "VAR_DIR": str(directory)}


@contextlib.contextmanager
def whole_service(directory: Path, tree: Path = ROOT, **env: str) -> Iterator[Addresses]:
    """Starts the checkout's `scripts.run` with an embedded database of its own in `directory`,
    which is empty, and stops it. Raises RuntimeError with the end of its log if it is never
    ready."""
    reserved = [reserved_port() for _ in range(2)]
    ports = [str(one.getsockname()[1]) for one in reserved]
    environ = environment(directory, *ports) | env
    log = directory / "run.log"
    with log.open("wb") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", "scripts.run"],
            cwd=tree,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        until = time.monotonic() + PATIENCE
        while "ready: " not in log.read_text(errors="replace"):
            if running.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"it did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.1)
        yield Addresses(*(f"http://127.0.0.1:{port}" for port in ports))
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(PATIENCE)
        for one in reserved:
            one.close()
