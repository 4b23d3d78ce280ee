"""`make db-backup` and `make db-restore FORCE=1`, while everybody goes on."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

from psycopg2.errors import InsufficientPrivilege, ObjectInUse

from scripts import databases
from tests.campaign.ledger import WEBHOOKS, rows
from tests.campaign.stage import Stage


def save(stage: Stage) -> Path:
    """A backup of this moment."""
    return Path(_run(stage, "save").stdout.strip().removeprefix("wrote "))


def restore(stage: Stage, file: Path) -> list[dict[str, Any]]:
    """Puts it in the database's place. What it replaced is dropped: a campaign has many. Gives the
    webhooks that were in there, because a restore does not bring them back (operations.md)."""
    kept: list[dict[str, Any]] = []
    _run(stage, "restore", str(file), "--yes", "--force")
    with stage.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE '%\\_replaced\\_%'")
        for (name,) in cursor.fetchall():
            with stage.connect(name) as replaced:
                kept += rows(replaced, WEBHOOKS)
            # Autovacuum is at work there, or one that was told to leave has not left yet.
            with contextlib.suppress(InsufficientPrivilege, ObjectInUse):
                cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    return kept


def _run(stage: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a script of ours. Raises RuntimeError if it fails."""
    environ = databases.with_programs(stage.env | databases.client_variables(stage.database_url))
    done = subprocess.run(
        [sys.executable, "-m", "scripts.db_backup", *arguments],
        cwd=stage.tree, env=environ, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    with (stage.directory / "restore.log").open("a") as log:
        log.write(done.stdout + done.stderr)
    if done.returncode != 0:
        raise RuntimeError(f"db_backup {arguments[0]} failed: {done.stderr[-2000:]}")
    return done
