"""flask token: a bearer token for development, on standard output."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from payment_service.config import settings
from payment_service.domain.callers import Scope
from payment_service.identity.making import NoToken, make


@click.command
@click.option("--sub", default="developer", show_default=True, help="The caller's name.")
@click.option(
    "--scope",
    default=None,
    help=f"With blanks between; default all of them ({' '.join(Scope)}), none with --role.",
)
@click.option("--role", help="Such as rider; then --sub is the rider's number.")
@click.option(
    "--ttl",
    type=click.IntRange(1, 86400),
    default=3600,
    show_default=True,
    help="Seconds until it is over.",
)
@with_appcontext
def token(sub: str, scope: str | None, role: str | None, ttl: int) -> None:
    """Make a token that this service takes. For development; refused in production."""
    wanted = scope if scope is not None else "" if role else " ".join(Scope)
    try:
        click.echo(make(settings(), sub=sub, scope=wanted, role=role, seconds=ttl))
    except NoToken as error:
        raise click.ClickException(str(error)) from None
