"""Where the processes of `make run` count: in memory, so that a full disk is no matter to them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108  a folder of our own in it, closed to others


def metrics_folder(var: Path) -> Path:
    """In memory, named after VAR_DIR; under VAR_DIR where there is no such place."""
    name = f"payments-metrics-{hashlib.sha256(os.fsencode(var)).hexdigest()[:16]}"
    if not os.access(MEMORY, os.W_OK):
        return var / "metrics"
    taken = MEMORY / name
    # Anyone may make a folder there, and another's is not to be written to.
    if taken.is_symlink() or (taken.exists() and taken.stat().st_uid != os.getuid()):
        return var / "metrics"
    return taken


@contextlib.contextmanager
def fresh_metrics(var: Path) -> Iterator[None]:
    """The folder, empty: what is in it was counted by processes that are no more. Removed at the
    end; after a kill -9 by the next run or by `make clean`."""
    forget(var)
    metrics_folder(var).mkdir(mode=0o700)
    try:
        yield
    finally:
        forget(var)


def forget(var: Path) -> None:
    shutil.rmtree(metrics_folder(var), ignore_errors=True)
