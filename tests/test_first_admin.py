"""The link for the first admin: on the terminal of `make run`, and nowhere else."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.patience import PATIENCE
from tests.sandbox_calls import eventually
from tests.sandbox_server import reserved_port
from tests.whole_service import environment

LINK = re.compile(r"http://127\.0\.0\.1:\d+/admin/invite/([\w-]{43})")

ACCEPT = """
import sys
from payment_service import create_app
from payment_service.services import invites
with create_app().app_context():
    invites.accept(token=sys.argv[1], name="First", password="nine lamps above the harbour",
                   address="127.0.0.1", agent="test")
"""


class Terminal:
    """What a terminal shows of `make run`."""

    def __init__(self, master: int) -> None:
        self.shown = ""
        self._reader = threading.Thread(target=self._read, args=[master], daemon=True)
        self._reader.start()

    def _read(self, master: int) -> None:
        with contextlib.suppress(OSError):  # the other end is gone
            while part := os.read(master, 65536):
                self.shown += part.decode(errors="replace")

    def link(self) -> str | None:
        found = LINK.search(self.shown)
        return found.group(1) if found else None


@contextlib.contextmanager
def running(environ: dict[str, str]) -> Iterator[Terminal]:
    """`make run` on a terminal, from when it is ready."""
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "scripts.run"],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    terminal = Terminal(master)
    try:
        eventually(lambda: "Ctrl-C stops" in terminal.shown or child.poll() is not None)
        assert child.poll() is None, terminal.shown
        yield terminal
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(PATIENCE)
        os.close(master)


@contextlib.contextmanager
def without_demo(var: Path) -> Iterator[dict[str, str]]:
    """The environment of a `make run` on ports that are nobody else's."""
    with reserved_port() as service, reserved_port() as sandbox:
        numbers = [str(one.getsockname()[1]) for one in (service, sandbox)]
        yield environment(var, *numbers) | {"SEED_DEMO": "0"}


def on_database(environ: dict[str, str], *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.run", "--with-database", "--", *command],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_first_admin_s_link_is_on_the_terminal_only(tmp_path: Path) -> None:
    with without_demo(tmp_path) as environ:
        with running(environ) as terminal:
            token = terminal.link()
            assert token is not None
        logs = "".join(path.read_text(errors="replace") for path in tmp_path.glob("logs/*.log"))
        assert "ready:" in logs
        assert "/admin/invite/" not in logs
        on_database(environ, sys.executable, "-c", ACCEPT, token)
        key = (tmp_path / "encryption-keys").read_text()
        with running(environ) as terminal:
            assert terminal.link() is None
        assert (tmp_path / "encryption-keys").read_text() == key
        for name in ("encryption-keys", "secret-key"):
            assert (tmp_path / name).stat().st_mode & 0o077 == 0
