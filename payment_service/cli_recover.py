"""flask recover restored: one call."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import with_appcontext

from payment_service.services import restoring


@click.group
def recover() -> None:
    """What a restore lost, brought back."""


@recover.command
@click.option("--replaced", required=True, help="The database whose place the restored one takes.")
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="For what is left.")
@with_appcontext
def restored(replaced: str, folder: Path) -> None:
    """Look back, in a database that was restored and that nobody is in; db-restore calls it."""
    for line in restoring.look_back(replaced=replaced).lines():
        click.echo(line)
