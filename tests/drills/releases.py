"""Two versions of the service beside each other on one database, behind one address."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests

from tests.campaign.copies import copied
from tests.campaign.stage import READY_SECONDS, ROOT
from tests.drills.balancer import Balancer
from tests.drills.stages import DrillStage
from tests.sandbox_server import reserved_port

END_SECONDS = 30.0
"""How long a process that was told to end may take, as Kubernetes gives it."""
MIGRATIONS = "migrations/versions"


def before(directory: Path, named: str | None) -> tuple[Path, str]:
    """The code of the revision before, and what it is called: the one that is named, or the last
    one that knows one migration less. Raises RuntimeError where there is no history."""
    if named and Path(named).is_dir():
        return Path(named).resolve(), named
    added = ("log", "--diff-filter=A", "-1", "--format=%H", "--", MIGRATIONS)
    revision = _git("rev-parse", "--short", named or f"{_git(*added)}^")
    packed = directory / "before.tar"
    _git("archive", "-o", str(packed), revision)
    shutil.unpack_archive(packed, directory / "before-whole", filter="data")
    return directory / "before-whole", revision


def migrations(tree: Path) -> set[str]:
    """The numbers of a tree's migrations."""
    found = (tree / MIGRATIONS).glob("[0-9]*.py")
    return {number.group() for path in found if (number := re.match(r"\d+", path.name))}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"git {arguments[0]}: {done.stderr.strip()}; --old names a folder")
    return done.stdout.strip()


class Release:
    """One version: a gunicorn on a port of its own, and a worker."""

    def __init__(self, name: str, tree: Path, stage: ReleaseStage) -> None:
        self.name, self.tree, self._stage = name, tree, stage
        self._reservation = reserved_port()
        self.port: int = self._reservation.getsockname()[1]
        self._web: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Both; returns once gunicorn is ready."""
        self._web = self._spawn("web", "gunicorn", "-c", str(self.tree / "gunicorn.conf.py"),
                                "payment_service:create_app()")  # fmt: skip
        self.worker = self._spawn("worker", "flask", "worker")
        deadline = time.monotonic() + READY_SECONDS
        while not self.is_ready():
            if self._web.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start: see {self.name}-web.log")
            time.sleep(0.1)

    def is_ready(self) -> bool:
        try:
            place = f"http://127.0.0.1:{self.port}/health/ready"
            return requests.get(place, timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def end(self) -> dict[str, int]:
        """TERM to both; their exit codes. Raises subprocess.TimeoutExpired."""
        codes = {}
        for what, process in (("web", self._web), ("worker", self.worker)):
            if process is not None:
                process.terminate()
                codes[f"{self.name} {what}"] = process.wait(END_SECONDS)
        self._web = self.worker = None
        return codes

    def close(self) -> None:
        for process in (self._web, self.worker):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._reservation.close()

    def _spawn(self, log: str, *command: str) -> subprocess.Popen[bytes]:
        metrics = self._stage.directory / f"metrics-{self.name}"
        metrics.mkdir(exist_ok=True)
        env = self._stage.env | {
            "SERVICE_PORT": str(self.port), "PROMETHEUS_MULTIPROC_DIR": str(metrics)
        }  # fmt: skip
        with (self._stage.directory / f"{self.name}-{log}.log").open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.tree, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip


class ReleaseStage(DrillStage):
    """The drills' stage with two releases on it; `start` starts the old one."""

    def __init__(self, directory: Path, old: Path, say: Callable[[str], None]) -> None:
        super().__init__(directory, say, old)
        self.balancer = Balancer()
        self.url = self.balancer.url
        self.old = Release("old", self.tree, self)
        self.new = Release("new", copied(ROOT, directory / "after"), self)

    def start_web(self) -> None:
        self.let_in(self.old)

    def start_worker(self) -> None:
        """Each release has one of its own."""

    def let_in(self, release: Release) -> None:
        """Starts a release, and lets requests come to it once it is ready."""
        release.start()
        self.balancer.let_in(release.port)

    def take_out(self, release: Release) -> dict[str, int]:
        """Requests go elsewhere, then it is told to end, as a pod with a preStop is; the exit
        codes of what ended."""
        self.balancer.take_out(release.port)
        return release.end()

    def migrate(self) -> float:
        """`flask db upgrade` of the new release, while the old one is at work; its seconds. From
        here on commands are those of the new one."""
        began = time.monotonic()
        self.tree = self.new.tree
        done = self.flask("db", "upgrade")
        if done.returncode != 0:
            raise RuntimeError(f"flask db upgrade failed:\n{done.stderr[-2000:]}")
        return time.monotonic() - began

    def close(self) -> None:
        for release in (self.old, self.new):
            release.close()
        self.balancer.close()
        super().close()
