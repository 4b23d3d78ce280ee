"""What both servers need: a private directory, a password, a process that can be found again."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

START_SECONDS = 60.0  # recovery after a kill -9 under load takes a while
STOP_SECONDS = 30.0
LOG_BYTES = 5_000_000


class EmbeddedError(RuntimeError):
    """A server can't be had. The message is one plain line."""


@dataclass
class Server:
    """A running server. `url` holds its password."""

    name: str
    url: str
    process: psutil.Process
    child: subprocess.Popen[bytes] | None = None  # None: another process started it

    def alive(self) -> bool:
        return self.child.poll() is None if self.child else lives(self.process)

    def stop(self) -> None:
        """End it in good order, by force if it does not go. May be called twice."""
        import psutil

        # For PostgreSQL SIGINT is "fast": roll back, write the checkpoint, leave.
        orderly = signal.SIGINT if self.name == "postgres" else signal.SIGTERM
        for number, seconds in ((orderly, STOP_SECONDS), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(psutil.NoSuchProcess):
                self.process.send_signal(number)
            deadline = time.monotonic() + seconds
            while self.alive() and time.monotonic() < deadline:
                time.sleep(0.02)


def lives(process: psutil.Process) -> bool:
    """Whether it runs. A zombie does not: in a container it may never be reaped."""
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def package(module: str, distribution: str) -> Path:
    """The folder of a development wheel, or one line that names what to install."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None or importlib.util.find_spec("psutil") is None:
        missing = "psutil" if found else distribution
        hint = "pip install -r requirements-dev.txt"
        raise EmbeddedError(f"the package {missing} is missing: {hint}")
    return Path(found.origin).resolve().parent


def private(directory: Path) -> Path:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
    except OSError as error:
        raise EmbeddedError(f"{directory} can't be written: {error.strerror}") from error
    return directory.resolve()


def secret(path: Path) -> str:
    """The password in `path`, made if it is missing."""
    if not path.exists():
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(24) + "\n")
    return path.read_text().strip()


def free_port(directory: Path) -> int:
    """A free port of 127.0.0.1, the one of last time if it still is. Kept in the file `port`."""
    file = directory / "port"
    last = int(file.read_text()) if file.exists() else 0
    for wish in (last, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", wish))
            file.write_text(f"{probe.getsockname()[1]}\n")
            break
    return int(file.read_text())


def launch(name: str, command: list[str], directory: Path) -> subprocess.Popen[bytes]:
    log = directory / f"{name}.log"
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(directory / f"{name}.log.1")
    with log.open("ab") as out:
        # A session of its own: Ctrl-C in the terminal is for whoever started us, and ends us then.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd="/",
            start_new_session=True,
        )


def started(
    name: str,
    url: str,
    child: subprocess.Popen[bytes],
    directory: Path,
    ready: Callable[[], bool],
) -> Server:
    """The server, once it is `ready`. Raises EmbeddedError with the last line of its log."""
    import psutil

    deadline = time.monotonic() + START_SECONDS
    try:
        while not ready():
            if child.poll() is not None or time.monotonic() > deadline:
                log = (directory / f"{name}.log").read_text(errors="replace").strip()
                last = (log.splitlines() or ["no reason given"])[-1]
                raise EmbeddedError(f"{name} does not start: {last}")
            time.sleep(0.05)
        return Server(name, url, psutil.Process(child.pid), child)
    except BaseException:
        child.terminate()
        child.wait()
        raise


def living(pid_file: Path, home: Path, name: str) -> psutil.Process | None:
    """The process of a pid file, if its name and its directory say that it is the one meant."""
    import psutil

    with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
        process = psutil.Process(int(pid_file.read_text().split()[0]))
        # The arguments first: a root without CAP_SYS_PTRACE may not ask for another user's cwd.
        if process.name() == name and (
            str(home) in process.cmdline() or process.cwd() == str(home)
        ):
            return process
    return None
