"""Packages of npm that tests start: they need Node.js, that of `make clients`, or the machine's."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from tests.sandbox_server import ROOT

PATH = f"{ROOT / '.clients/venv/bin'}{os.pathsep}{os.environ.get('PATH', '')}"


def installed(here: Path, work: Path) -> str:
    """Installs in `work` what the lock file in `here` names, once, beside a copy of here's other
    files; the path of Node.js. Skips the test where there is no Node.js or no registry; in CI that
    is an error."""
    node, npm = (shutil.which(name, path=PATH) for name in ("node", "npm"))
    if not node or not npm:
        _without("Node.js is not here: make .clients/venv/.installed brings it")
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (here / "package-lock.json").read_bytes()
        done = work / "installed"
        for file in here.iterdir():
            shutil.copy(file, work)
        if not done.exists() or done.read_bytes() != wanted:
            ended = subprocess.run(
                [npm, "ci", "--loglevel=error"],
                cwd=work,
                env={**os.environ, "PATH": PATH},
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
            )
            if ended.returncode:
                _without(f"npm could not install {here.name}: {ended.stderr[-500:]}")
            done.write_bytes(wanted)
    return node


def _without(why: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)
