"""The image's processes as a container runtime has them: a root that is read-only, a /tmp of their
own, the image's user, and a process 1 that gets the signals and whose exit code is told."""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import psutil

from tests.shipping import building

# In namespaces of its own, so the mounts end with it, and with it all processes inside.
ENTER = """
mount --make-rprivate /
mount --bind "$1" "$2"
mount -o remount,ro,bind "$2"
mount -t tmpfs -o mode=1777 tmpfs "$2/tmp"
mount -t proc proc "$2/proc"
mount --rbind /dev "$2/dev"
shift
root=$1
shift
exec chroot --userspec=1001:1001 "$root" /usr/bin/env -i "$@"
"""


class Image:
    """The image's files, mounted, and what it says of its processes."""

    def __init__(self, name: str, scratch: Path) -> None:
        self.name, self.scratch = name, scratch
        self.container = building.buildah("from", "--pull-never", name)
        self.root = building.buildah("mount", self.container)
        self.config = building.config(name)

    def close(self) -> None:
        building.buildah("rm", self.container)

    def command(self, arguments: list[str], env: Mapping[str, str]) -> list[str]:
        point = self.scratch / "root"
        point.mkdir(exist_ok=True)
        told = dict(word.split("=", 1) for word in self.config["Env"]) | env
        named = [f"{name}={value}" for name, value in told.items()]
        enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, "sh"]
        folder = ["-C", self.config["WorkingDir"]]
        return [*enter, self.root, str(point), *folder, *named, *arguments]

    def run(self, *arguments: str, **env: str) -> str:
        """What a command in a container of its own prints. Raises RuntimeError."""
        return building.call(*self.command(list(arguments), env)).strip()

    @contextlib.contextmanager
    def started(self, log: Path, *arguments: str, **env: str) -> Iterator[Running]:
        """The image's own command, or another one; killed at the end if it still runs."""
        command = list(arguments) or self.config["Cmd"]
        with log.open("a") as file:
            running = Running(self.command(command, env), file)
            try:
                yield running
            finally:
                running.kill()


class Running:
    """One container's process 1."""

    def __init__(self, command: list[str], log: TextIO) -> None:
        self.told = shlex.join(command[-4:])
        self._outside = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def first(self) -> psutil.Process:
        """Process 1 of its namespace."""
        return psutil.Process(self._outside.pid).children()[0]

    def exited(self) -> int | None:
        return self._outside.poll()

    def stop(self, seconds: float) -> tuple[int, float]:
        """TERM; its exit code, and how many seconds it took. Raises subprocess.TimeoutExpired."""
        began = time.monotonic()
        self.first.send_signal(signal.SIGTERM)
        code = self._outside.wait(seconds)
        return code, time.monotonic() - began

    def kill(self) -> None:
        if self._outside.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):
                self.first.kill()
            self._outside.kill()
        self._outside.wait()

    def memory(self) -> list[dict[str, Any]]:
        """RSS and USS in megabytes of each of its processes' children: gunicorn's workers."""
        found = []
        for child in self.first.children():
            full = child.memory_full_info()
            found.append({"rss": full.rss / 1e6, "uss": full.uss / 1e6})
        return found
