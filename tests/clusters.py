"""A PostgreSQL cluster that is made once and copied: initdb takes a second of a processor."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from payment_service import embedded


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of an embedded server that was stopped; to be copied only."""
    directory = tmp_path_factory.mktemp("cluster") / "db"
    embedded.start_postgres(directory).stop()
    yield directory


def copied(cluster: Path, to: Path) -> Path:
    """A copy with owners and modes."""
    subprocess.run(["cp", "-a", str(cluster), str(to)], check=True)
    return to
