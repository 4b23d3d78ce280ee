"""A log line that can't be written is lost, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.patience import PATIENCE

SAYS = """
import logging, sys
import structlog
from payment_service.telemetry import logs
from tests.patience import PATIENCE
logs.configure(level="INFO", output=sys.argv[1], mask=str)
structlog.get_logger().info("said")
structlog.get_logger().info("said again")
logging.getLogger("other").warning("said by a library")
print("went on", file=sys.stderr)
"""


def run(output: str, stdout: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SAYS, output]
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=PATIENCE
    )


@pytest.mark.parametrize("output", ["json", "console"])
def test_nobody_reads_any_more(output: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert "went on" in run(output, writer).stderr
    finally:
        os.close(writer)


def test_the_disk_is_full() -> None:
    with open("/dev/full", "w") as full:
        assert "went on" in run("json", full.fileno()).stderr
