"""A real RabbitMQ node of the tests' own, on free ports and in its own directory."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pika
import psutil
import pytest
from pika.exceptions import AMQPError

from tests.patience import PATIENCE
from tests.sandbox_server import reserved_port

_PLACES = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/homebrew/sbin/rabbitmq-server")


def find_server() -> str | None:
    """The start script. Debian's own on the PATH insists on its user and its directory."""
    return next((place for place in _PLACES if os.access(place, os.X_OK)), None) or shutil.which(
        "rabbitmq-server"
    )


class Broker:
    """One node; `url` stays the same over restarts, and so do its durable queues."""

    def __init__(self, directory: Path, script: str) -> None:
        self._script = script
        self._directory = directory
        self._reserved = [reserved_port() for _ in range(3)]
        amqp, dist, epmd = (place.getsockname()[1] for place in self._reserved)
        self.url = f"amqp://guest:guest@127.0.0.1:{amqp}/%2F"
        self.log = directory / "node.out"
        self._process: subprocess.Popen[bytes] | None = None
        clean = {name: value for name, value in os.environ.items() if name[:8] != "RABBITMQ"}
        self._env = clean | {
            "HOME": str(directory),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"tests{secrets.token_hex(4)}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(amqp),
            "RABBITMQ_DIST_PORT": str(dist),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(directory / "none.conf"),
            "RABBITMQ_CONFIG_FILE": str(directory / "none"),
            # One scheduler that doesn't spin: other tests want the cores. And nobody else gets in.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none"
            " -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def start(self) -> None:
        """Starts it and returns once it takes connections."""
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "enabled_plugins").write_text("[].\n")
        (self._directory / "none.conf").touch()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._script],
                cwd=self._directory,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"RabbitMQ did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
        except (AMQPError, OSError):
            return False
        return True

    def kill(self) -> None:
        """kill -9 of the node and of all that it started, its epmd too."""
        if self._process is None:
            return
        # epmd makes a session of its own; the environment that it inherited tells whose it is.
        family = [
            found for found in psutil.process_iter(["name"])
            if found.info["name"] == "epmd" and self._is_ours(found)
        ]  # fmt: skip
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for found in family:
            with contextlib.suppress(psutil.Error):
                found.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """TERM, as a machine that is shut down gives it; returns once the node has ended."""
        if self._process is None:
            return
        os.kill(self._process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        self.kill()

    def restart(self) -> None:
        """kill -9, and start again on the same port and directory."""
        self.kill()
        self.start()

    def close(self) -> None:
        """Kills it and gives the ports back."""
        self.kill()
        for place in self._reserved:
            place.close()

    def _is_ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            return process.environ().get("ERL_EPMD_PORT") == self._env["ERL_EPMD_PORT"]
        return False


@contextlib.contextmanager
def running_rabbitmq(directory: Path) -> Iterator[Broker]:
    """A node for the length of a with-block. Where no server is installed the test is skipped,
    and under CI it fails."""
    script = find_server()
    if script is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("rabbitmq-server is not installed (apt-get install rabbitmq-server)")
    broker = Broker(directory, script)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()
