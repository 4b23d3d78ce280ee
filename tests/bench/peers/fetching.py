"""From the registries to .peers: each by its own client, under the client's own settings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.bench.peers.contract import Unavailable, complaint
from tests.sandbox_server import ROOT

FOLDER = ROOT / ".peers"
LONGEST_SECONDS = 1800.0
"""For one download or build: on one busy core, a large Go program takes many minutes."""

COPY = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy"
"""Its later versions also want the parents of what they copy, and not all of Kill Bill's are on
Maven Central."""


Replaced = Mapping[str, tuple[str, str]]
"""Files of a module, each with a text in it and what is to stand there."""


def maven(artifact: str, folder: Path) -> Path:
    """The file of group:artifact:version:type, by Maven, in the folder."""
    _, name, version, kind = artifact.split(":")
    file = folder / f"{name}-{version}.{kind}"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        repository = f"-Dmaven.repo.local={FOLDER / 'maven'}"
        to = (f"-Dartifact={artifact}", f"-DoutputDirectory={folder}")
        plainly = ("-q", "-B", "-Dstyle.color=never", "--strict-checksums")
        run(folder, "mvn", *plainly, repository, COPY, *to)
    return file


def go_program(
    module: str, version: str, folder: Path, *, package: str = "", replaced: Replaced | None = None
) -> Path:
    """The program in a package of a Go module at that version, built, in the folder.

    Built from a module of its own that requires it: `go install` refuses a module that replaces
    others. Raises Unavailable also where a text that is to be replaced is not there once.
    """
    program = folder / f"program-{version}"
    if program.exists():
        return program
    source = folder / "source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    # One package at a time: the machine may have other work, and little memory.
    env = {"GOPATH": str(FOLDER / "go"), "GOFLAGS": "-p=1 -modcacherw"}
    name = f"{module}/{package}" if package else module
    run(source, "go", "mod", "init", "peer", env=env)
    run(source, "go", "get", f"{name}@{version}", env=env)
    if replaced:
        # A copy: Go takes no changes to what it has downloaded.
        shutil.copytree(FOLDER / "go/pkg/mod" / f"{module}@{version}", source / "changed")
        for path, (old, new) in replaced.items():
            replace_once(source / "changed" / path, old, new)
        run(source, "go", "mod", "edit", f"-replace={module}=./changed", env=env)
    run(source, "go", "build", "-o", str(program), name, env=env)
    return program


def replace_once(file: Path, old: str, new: str) -> None:
    """Raises Unavailable where the old text is not in the file just once."""
    text = file.read_text()
    if text.count(old) != 1:
        raise Unavailable(f"{file.name} is not as expected: {old} is in it {text.count(old)} times")
    file.write_text(text.replace(old, new))


def run(folder: Path, *command: str, env: Mapping[str, str] | None = None) -> None:
    """Runs a registry's client or a compiler at low priority. Its output goes to fetch.log.

    Raises Unavailable with what it complained of.
    """
    if shutil.which(command[0]) is None:
        raise Unavailable(f"{command[0]} is not installed")
    print(f"bench: {' '.join(command)}", file=sys.stderr, flush=True)
    log = folder / "fetch.log"
    with log.open("wb") as out:
        try:
            done = subprocess.run(
                ["nice", "-n", "10", *command],
                cwd=folder,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=LONGEST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"{command[0]} was not done in {LONGEST_SECONDS:.0f} s") from None
    if done.returncode != 0:
        raise Unavailable(f"{command[0]}: {complaint(log)}")
