"""A peer's process: started, waited for, and killed with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from payment_service.embedded.server import free_port
from tests.bench.peers.contract import Unavailable, complaint
from tests.bench.world import Servers

START_SECONDS = 300.0
"""Kill Bill takes half a minute alone, and the machine may be busy."""


@dataclass(frozen=True)
class Address:
    """The database of a peer, as its own settings want it."""

    port: int
    user: str
    password: str
    database: str

    def url(self, scheme: str) -> str:
        """As most drivers take it."""
        where = f"127.0.0.1:{self.port}/{self.database}"
        return f"{scheme}://{self.user}:{self.password}@{where}?sslmode=disable"


def a_database(servers: Servers, name: str) -> Address:
    """A new empty database."""
    url = servers.url(name)
    servers.query("postgres", f"CREATE DATABASE {name} OWNER {url.username}")
    return Address(int(str(url.query["port"])), str(url.username), str(url.password), name)


def a_port(directory: Path) -> int:
    """A free port of 127.0.0.1 for a server that writes into that directory."""
    directory.mkdir(parents=True, exist_ok=True)
    return free_port(directory)


@contextlib.contextmanager
def program(
    command: Sequence[str],
    directory: Path,
    log: Path,
    ready: str,
    env: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """The process id, once a GET of the URL `ready` answers 200. Output goes to the log.

    Raises Unavailable if it ends before, or does not answer in time.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"it does not start: {complaint(log)}")
            time.sleep(0.2)
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=10).status_code == 200
    except requests.RequestException:
        return False
