"""flask recover restored | listed: one call each."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from flask.cli import with_appcontext

from payment_service.services import restoring

_folder = click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default="backups",
    show_default=True,
    help="For the file of what no row tells of.",
)


@click.group
def recover() -> None:
    """What a restore lost, brought back."""


@recover.command
@click.option("--replaced", required=True, help="The database whose place the restored one takes.")
@_folder
@with_appcontext
def restored(replaced: str, folder: Path) -> None:
    """Look back, in a database that was restored and that nobody is in; db-restore calls it."""
    for line in restoring.look_back(replaced=replaced, folder=folder).lines():
        click.echo(line)


@recover.command
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]), required=True, help="UTC, with a Z."
)
@_folder
@with_appcontext
def listed(since: datetime, folder: Path) -> None:
    """Ask the providers that can list what they did since then, and what of it we don't know."""
    moment = since.replace(tzinfo=UTC)
    for line in restoring.ask_providers(since=moment, folder=folder):
        click.echo(line)
