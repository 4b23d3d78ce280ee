"""Keeps the processes of the Procfile and the embedded servers running until it is told to stop.

honcho's own manager ends all when one ends. Here a process that dies is started again, because
killing one to see what the rest does is what a payment service is tried with.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

import psutil
from honcho.colour import get_colours, intense_red, red
from honcho.printer import Message, Printer

from payment_service.embedded import EmbeddedError, Server, lives

GRACE_SECONDS = 25.0  # more than gunicorn.conf.py's graceful_timeout
ORPHANS_SECONDS = 5.0
QUICK_SECONDS = 10.0
QUICK_DEATHS = 5
LOG_BYTES = 10_000_000
MARK = "PAYMENT_VAR_DIR"  # in the environment of every process here: whose it is


class GivenUp(RuntimeError):
    """A process died again and again. The message is one plain line."""


class LogFile(logging.handlers.RotatingFileHandler):
    """Leaves out what it can't write, as on a full disk. logging would print a traceback for each
    line."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


class Console:
    """Lines with the name of who wrote them, on the terminal and in a log file per name."""

    def __init__(self, logs: Path, names: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._printer = Printer(width=max(map(len, names)))
        # Red would say that something is wrong.
        self._colours = (one for one in get_colours() if one not in (red, intense_red))
        self._colour: dict[str, str] = {}
        self._logs = logs
        self._files: dict[str, logging.Logger] = {}
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, name: str, line: bytes | str) -> None:
        text = line.decode(errors="replace") if isinstance(line, bytes) else line
        with self._lock:
            if name not in self._colour:
                self._colour[name] = next(self._colours)
            now, colour = datetime.now().astimezone(), self._colour[name]
            message = Message("line", text, now, name, colour)
            # The terminal may be gone, or the disk full: one is left, and nothing may end for it.
            with contextlib.suppress(OSError):
                self._printer.write(message)
            with contextlib.suppress(OSError):
                self._file(name).info("%s", text.rstrip("\n"))

    def _file(self, name: str) -> logging.Logger:
        if name not in self._files:
            logger = logging.Logger(name)
            path = self._logs / f"{name}.log"
            logger.addHandler(LogFile(path, maxBytes=LOG_BYTES, backupCount=1))
            self._files[name] = logger
        return self._files[name]


class Process:
    """One line of the Procfile at work, in a session of its own."""

    def __init__(
        self,
        name: str,
        command: str,
        environ: Mapping[str, str],
        root: Path,
        console: Console,
    ) -> None:
        self.name = name
        self._child = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=root,
            env=dict(environ),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=[console], daemon=True)
        self._reader.start()

    def _read(self, console: Console) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                console.write(self.name, line)

    def alive(self) -> bool:
        return self._child.poll() is None

    def how_it_ended(self) -> str:
        code = self._child.wait()
        return f"exit {code}" if code >= 0 else signal.Signals(-code).name

    def stop(self, hurry: threading.Event | None = None) -> None:
        """Ask it to end, then end whatever it left behind in its session."""
        self._child.terminate()
        wait_until(lambda: not self.alive(), GRACE_SECONDS, hurry)
        end(self._session(), ORPHANS_SECONDS, hurry)
        self._child.wait()
        self._reader.join(1.0)  # its last words

    def _session(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                if os.getsid(process.pid) == self._child.pid:
                    found.append(process)
        return found


Running = TypeVar("Running", bound=Process | Server)


class Kept(Generic[Running]):
    """A process or server that is started again when it dies."""

    def __init__(self, name: str, start: Callable[[], Running]) -> None:
        self.name, self._start = name, start
        self._current: Running | None = None
        self._since = self._again_at = 0.0
        self._deaths = 0

    def start(self) -> Running:
        self._since, self._again_at = time.monotonic(), 0.0
        self._current = self._start()
        return self._current

    def look(self, say: Callable[[str], None]) -> None:
        """Start it again, after a pause, if it died. Raises GivenUp."""
        if self._again_at:
            if time.monotonic() >= self._again_at:
                self._start_again(say)
        elif self._current is None or not self._current.alive():
            self._mourn(say)

    def stop(self, hurry: threading.Event | None = None) -> None:
        if isinstance(self._current, Process):
            self._current.stop(hurry)
        elif self._current is not None:
            self._current.stop()

    def _mourn(self, say: Callable[[str], None]) -> None:
        quick = time.monotonic() - self._since < QUICK_SECONDS
        self._deaths = self._deaths + 1 if quick else 1
        how = ""
        if isinstance(self._current, Process):
            how = f" ({self._current.how_it_ended()})"
            self._current.stop()
        if self._deaths == QUICK_DEATHS:
            raise GivenUp(f"{self.name} died{how} {QUICK_DEATHS} times soon after its start")
        say(f"{self.name} died{how}; starting it again")
        self._again_at = time.monotonic() + 0.5 * self._deaths

    def _start_again(self, say: Callable[[str], None]) -> None:
        try:
            self.start()
        except (EmbeddedError, OSError) as error:  # a full disk is an OSError
            self._current = None  # which look() takes for one more death
            say(str(error))


def stop_left_overs(var: Path) -> int:
    """End what a supervisor of this VAR_DIR left behind when it was killed. Returns how many."""
    mine = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid not in mine and process.environ().get(MARK) == str(var):
                found.append(process)
    end(found, GRACE_SECONDS)
    return len(found)


def end(
    processes: list[psutil.Process], seconds: float, hurry: threading.Event | None = None
) -> None:
    """Terminate them, and kill those that stay longer than `seconds`."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        wait_until(lambda: not any(map(lives, processes)), seconds, hurry)


def wait_until(
    done: Callable[[], bool], seconds: float, hurry: threading.Event | None = None
) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        if hurry is not None and hurry.is_set():
            return
        time.sleep(0.02)
