"""flask keys status | rotate: one call each."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from payment_service.cli.caller import system_user
from payment_service.models.columns import keyring
from payment_service.models.keyring import NoKey
from payment_service.services import clear_tokens
from payment_service.services import keys as rows


@click.group
def keys() -> None:
    """The keys of encrypted columns (ENCRYPTION_KEYS)."""


@keys.command
@with_appcontext
def status() -> None:
    """Print how many rows need which key; exit with 1 if one of these is not there."""
    names = keyring().names
    needed = rows.needed()
    for name in names or ["none"]:
        click.echo(
            f"{name}: {'the newest' if name == keyring().newest else 'older' if names else ''}"
        )
    if clear := clear_tokens.count():
        click.echo(
            f"payments.payment_token: {clear} rows in clear; flask keys rotate encrypts them"
        )
    lost = 0
    for (place, name), count in sorted(needed.items()):
        click.echo(
            f"{place}: {count} rows under {name}{'' if name in names else ', which is not there'}"
        )
        lost += count if name not in names else 0
    if lost:
        raise click.ClickException(f"{lost} rows need a key that ENCRYPTION_KEYS leaves out")


@keys.command
@with_appcontext
def rotate() -> None:
    """Put every row under the newest key. The service may run, and this may be killed and started
    again."""
    try:
        sealed = clear_tokens.seal(caller=system_user())
        done = rows.rotate(caller=system_user())
    except NoKey as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{done.rows + sealed} rows are under {keyring().newest} now")
    if done.unreadable:
        raise click.ClickException(f"{done.unreadable} rows are as they were: no key opens them")
