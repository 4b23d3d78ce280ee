"""An append-only JSON-lines file that survives kill -9 at any byte."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# A sandbox that was killed together with its parent may need this long to let go of the file.
LOCK_PATIENCE_SECONDS = 10.0


class JournalError(RuntimeError):
    """The journal is held by another sandbox, or a line in its middle can't be read."""


class Journal:
    """One file, one writer. The caller serializes `append` and `clear` by its own lock."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._hold()
        self._size = os.fstat(self._fd).st_size

    def _hold(self) -> None:
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise JournalError(f"{self._path} is in use by another sandbox") from None
                time.sleep(0.05)

    def replay(self) -> Iterator[dict[str, Any]]:
        """Yield every entry; cut off a last line that was torn by a kill.

        Only the last line can be torn, because each is one write to the end. Any other line that
        can't be read raises JournalError: charges are not forgotten silently.
        """
        whole = 0
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = json.loads(line)
                except ValueError as error:
                    raise JournalError(f"{self._path}, line {number}: {error}") from error
                whole += len(line)
                yield entry
        if whole != self._size:
            os.ftruncate(self._fd, whole)
            self._size = whole

    def append(self, entry: dict[str, Any]) -> None:
        """Hand one entry to the operating system; raises OSError with nothing written.

        No fsync: what the kernel has outlives the process, and only the process is ever killed.
        """
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        try:
            written = os.write(self._fd, line)
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += len(line)

    def clear(self) -> None:
        """Forget everything."""
        os.ftruncate(self._fd, 0)
        self._size = 0

    def close(self) -> None:
        """Let go of the file, for another process to take it."""
        os.close(self._fd)
