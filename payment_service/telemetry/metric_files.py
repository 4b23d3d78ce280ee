"""The files in which each process counts, for prometheus_client's multiprocess mode.

That library leaves two things to others. Its files are sparse: where the disk is full, the first
write to a page of theirs ends the process (SIGBUS). Here their bytes are written before they are
used, and a process that can't have them counts on unseen. And what dead processes counted stays in
files of their own, which each scrape reads. Here it is folded into one file for each kind.

A file is held (flock) for as long as its process lives, and its name never comes again, so process
ids mean nothing. Which files count is in the manifest, which one rename changes: a scrape sees all
of a fold or nothing of it, and a fold that is killed at any line is finished by the next.
"""

# mypy: allow-untyped-calls, allow-untyped-defs
# prometheus_client gives its files no types.

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import mmap
import os
import struct
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import structlog
from prometheus_client import Metric, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

log = structlog.get_logger(__name__)

FIRST_BYTES = 64 * 1024
ADDED = ("counter", "histogram", "summary", "gauge_sum")
"""Kinds whose dead are added up. What a `live` gauge said ends with its process."""
MANIFEST, LOCK = "folded.json", "folding.lock"
TRIES = 100
"""Of a scrape that folds overtake. One comes with each death of a process, so two are rare."""


def install() -> None:
    """Has prometheus_client count in our files. Before the first metric is made."""
    vars(values)["MmapedDict"] = Counts


class Counts(MmapedDict):
    """A process's counts of one kind; in its own memory where its file can have no room."""

    def __init__(self, filename: str) -> None:
        """Counts in `counter_4711-<random>.db` where prometheus_client says counter_4711.db."""
        asked = Path(filename)
        path = asked.with_stem(f"{asked.stem}-{uuid.uuid4().hex}")
        self._held: Any = io.BytesIO()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._held = _hold(path)
            super().__init__(str(path))
        except OSError as error:
            self._fname = str(path)
            self._f, self._positions, self._used, self._capacity = self._held, {}, 8, FIRST_BYTES
            self._m = mmap.mmap(-1, FIRST_BYTES)
            self._m[:4] = struct.pack("i", self._used)
            _warn(self._fname, error)

    def _init_value(self, key: str) -> None:
        # Its length, the key padded to eight bytes, value and time.
        while self._used + 4 + len(key.encode()) + 8 + 16 > self._capacity:
            self._grow()
        super()._init_value(key)

    def _grow(self) -> None:
        """Twice the size. Without room the file keeps what it says until there is some."""
        size = 2 * self._capacity
        try:
            _write_zeros(self._held, size)
            larger = mmap.mmap(self._held.fileno(), size)
        except OSError as error:
            larger = mmap.mmap(-1, size)
            _warn(self._fname, error)
        larger[: self._used] = self._m[: self._used]
        self._m, self._capacity = larger, size

    def close(self) -> None:
        super().close()
        self._held.close()


def _warn(filename: str, error: OSError) -> None:
    log.warning("metrics_have_no_room", file=filename, error=str(error))


def _hold(path: Path) -> IO[bytes]:
    """Makes the file and holds it until it is closed. Nobody sees it by its name before it is held
    and has its first bytes."""
    unnamed = path.with_suffix(".new")
    file = unnamed.open("x+b")
    try:
        fcntl.flock(file, fcntl.LOCK_SH)
        _write_zeros(file, FIRST_BYTES)
        unnamed.replace(path)
    except OSError:
        file.close()
        unnamed.unlink(missing_ok=True)
        raise
    return file


def _write_zeros(file: IO[bytes], size: int) -> None:
    """Makes it that long, with room on the disk for all of it. Raises OSError."""
    missing = size - os.fstat(file.fileno()).st_size
    while missing > 0:
        missing -= os.write(file.fileno(), bytes(missing))  # at its end


def merged(directory: Path) -> list[Metric]:
    """What all processes counted, the dead included."""
    for _ in range(TRIES):
        manifest = _manifest(directory)
        files = [str(path) for path in _counting(directory, manifest)]
        with contextlib.suppress(FileNotFoundError):  # folded away meanwhile
            found = list(MultiProcessCollector.merge(files))
            if _manifest(directory) == manifest:
                return found
    raise RuntimeError(f"the metrics in {directory} never stood still")


def fold(directory: Path) -> None:
    """Adds up what dead processes counted, and removes their files."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK).open("w") as lock, contextlib.ExitStack() as stack:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # somebody else is at it
        manifest = _manifest(directory)
        _remove_taken(directory, manifest)
        dead = [path for path in sorted(directory.glob("*_*.db")) if _is_dead(path, stack)]
        dead = [path for path in dead if path.name not in manifest["files"]]
        for path in dead:
            if _kind(path).startswith("gauge_live"):
                path.unlink()
        try:
            _fold(directory, manifest, [path for path in dead if _kind(path) in ADDED])
        except OSError as error:
            log.warning("metrics_not_folded", error=error.strerror)


def _fold(directory: Path, manifest: dict[str, Any], dead: list[Path]) -> None:
    if not dead:
        return
    turn = manifest["turn"] + 1
    files = {}
    for kind in {_kind(path) for path in dead} | {_kind(directory / n) for n in manifest["files"]}:
        earlier = [
            directory / name for name in manifest["files"] if _kind(directory / name) == kind
        ]
        files[f"{kind}_folded-{turn}.db"] = [*earlier, *(p for p in dead if _kind(p) == kind)]
    for name, parts in files.items():
        (directory / name).write_bytes(_sum(parts))
    taken = [path.name for path in dead] + manifest["files"]
    manifest = {"turn": turn, "files": sorted(files), "taken": taken}
    _write_manifest(directory, manifest)
    _remove_taken(directory, manifest)


def _remove_taken(directory: Path, manifest: dict[str, Any]) -> None:
    """Removes the files that a fold has added up."""
    for path in directory.glob("*_folded-*.db"):
        if path.name not in manifest["files"]:
            path.unlink()  # of a fold that did not come to its end, or taken
    for name in manifest["taken"]:
        (directory / name).unlink(missing_ok=True)
    if manifest["taken"]:
        _write_manifest(directory, {**manifest, "taken": []})


def _sum(parts: Iterable[Path]) -> bytes:
    """Writes one file with the sums of these files."""
    sums: dict[str, float] = defaultdict(float)
    for path in parts:
        for key, value, *_ in MmapedDict.read_all_values_from_file(path):
            sums[key] += value
    entries = []
    for key, value in sums.items():
        encoded = key.encode()
        padded = encoded + b" " * (8 - (len(encoded) + 4) % 8)
        entries.append(struct.pack(f"i{len(padded)}sdd", len(encoded), padded, value, 0.0))
    data = b"".join(entries)
    return struct.pack("ii", 8 + len(data), 0) + data


def _manifest(directory: Path) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads((directory / MANIFEST).read_text())
    except FileNotFoundError:
        return {"turn": 0, "files": [], "taken": []}
    return read


def _write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    fresh = directory / f"{MANIFEST}.new"
    fresh.write_text(json.dumps(manifest))
    fresh.replace(directory / MANIFEST)


def _counting(directory: Path, manifest: dict[str, Any]) -> Iterator[Path]:
    for path in directory.glob("*_*.db"):
        folded = "_folded-" in path.name
        if path.name in manifest["files"] or not (folded or path.name in manifest["taken"]):
            yield path


def _kind(path: Path) -> str:
    """`gauge_sum` of gauge_sum_4711-<random>.db."""
    return path.stem.rpartition("_")[0]


def _is_dead(path: Path, stack: contextlib.ExitStack) -> bool:
    """Whether no process holds it; then nobody does until `stack` ends."""
    file = stack.enter_context(path.open("rb"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
