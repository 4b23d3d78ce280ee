"""The run's figures: gathered by section, printed as one table, written as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tests.bench.world import SERVICE
from tests.sandbox_server import ROOT


@dataclass
class Line:
    """One line of the table. `aim` is what the figure is held to, `met` whether it is there."""

    what: str
    figure: str
    aim: str = ""
    met: bool | None = None


@dataclass
class Report:
    """All that was measured."""

    machine: dict[str, Any]
    sections: dict[str, Any] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    def add(self, what: str, figure: str, aim: str = "", met: bool | None = None) -> None:
        """Adds a line to the table."""
        self.lines.append(Line(what, figure, aim, met))

    def table(self) -> str:
        """The lines, in columns."""
        width = max(len(line.what) for line in self.lines)
        middle = max(len(line.figure) for line in self.lines)
        verdicts = {True: "met", False: "MISSED", None: ""}
        shown = [
            f"{one.what:<{width}}  {one.figure:<{middle}}  {one.aim} {verdicts[one.met]}"
            for one in self.lines
        ]
        return "\n".join(line.rstrip() for line in shown)

    def write(self, path: Path) -> None:
        """Writes the report as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        table = [vars(line) for line in self.lines]
        shown = {"machine": self.machine, **self.sections, "table": table}
        path.write_text(json.dumps(shown, indent=2) + "\n")


def machine(seconds: float, rows: int, postgres: dict[str, str]) -> dict[str, Any]:
    """Where and on what this was measured."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _output("git", "describe", "--always", "--dirty"),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "wrk": _output("wrk", "--version").split(" Copyright")[0],
        "bench_seconds": seconds,
        "bench_rows": rows,
        "postgres": postgres,
        "service": SERVICE,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = cpuinfo.read_text().split("model name\t: ")[1:] if cpuinfo.exists() else []
    return names[0].splitlines()[0] if names else platform.processor()


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    return (done.stdout or done.stderr).strip().partition("\n")[0]
