"""flask totals rebuild: one call."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from payment_service.services import rebuilding


@click.group
def totals() -> None:
    """The figures by day and hour."""


@totals.command
@with_appcontext
def rebuild() -> None:
    """Make them anew from payments, while the service runs."""
    done = rebuilding.rebuild()
    click.echo(
        f"{done.days} days: {done.wrong_days} rows of days were wrong, {done.wrong_hours} of hours"
    )
