"""wrk: closed-loop load over keep-alive connections, and what it measured."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
THREADS = 2


class Missing(Exception):
    """Something that the bench needs is not here. The message is one plain line."""


@dataclass(frozen=True)
class Load:
    """One round. `rate` counts 2xx answers only."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    not_2xx: int
    socket_errors: int

    @property
    def rate(self) -> float:
        return (self.requests - self.not_2xx) / self.seconds


def require_wrk() -> None:
    """Raises Missing without wrk."""
    if shutil.which("wrk") is None:
        raise Missing("wrk is not installed; on Debian: apt-get install wrk")


def wrk(
    url: str,
    script: str,
    *args: str,
    connections: int,
    seconds: float,
    headers: Mapping[str, str] | None = None,
) -> Load:
    """Asks `url` for that long by the Lua script of that name, which gets `args`."""
    named = [f"-H{name}: {value}" for name, value in (headers or {}).items()]
    command = [
        *("wrk", f"-t{THREADS}", f"-c{connections}", f"-d{max(1, round(seconds))}s"),
        *named,
        *("--timeout", "10s", "-s", str(HERE / script), url, "--", *args),
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "BENCH_DONE_LUA": str(HERE / "done.lua")},
        capture_output=True,
        text=True,
        timeout=seconds + 300,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or not lines:
        raise RuntimeError(f"wrk failed: {(done.stderr or done.stdout)[-2000:]}")
    return Load(**json.loads(lines[0].removeprefix("RESULT ")))
