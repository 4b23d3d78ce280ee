"""scripts/roles.sql by psql on the database of DATABASE_URL, as the migrate Job does after each
migration: python -m scripts.roles [--set=app=NAME ...]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from payment_service import config
from scripts import databases


def main(arguments: list[str]) -> None:
    """Becomes psql, which finds its way by the environment."""
    environ = databases.with_programs(os.environ)
    environ |= databases.client_variables(config.load().database_url)
    script = Path(__file__).with_suffix(".sql")
    command = ["psql", "--no-psqlrc", "--quiet", f"--file={script}", *arguments]
    os.execvpe("psql", command, environ)  # noqa: S606 - the machine's own, or the wheel's


if __name__ == "__main__":
    main(sys.argv[1:])
