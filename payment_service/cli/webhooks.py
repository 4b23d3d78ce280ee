"""flask webhooks list | replay: one call each."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from payment_service.cli.caller import system_user
from payment_service.domain.errors import WebhookNotFound
from payment_service.domain.vocabulary import WebhookStatus
from payment_service.schemas.lists import Page
from payment_service.services import listings, webhook_reading
from payment_service.services import webhooks as service


@click.group
def webhooks() -> None:
    """What providers said unasked."""


@webhooks.command("list")
@click.option("--provider", help="Of this provider.")
@click.option("--status", type=click.Choice([*WebhookStatus]), help="In this status.")
@click.option("--payment", "payment_id", type=int, help="About this payment.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@with_appcontext
def list_(provider: str | None, status: str | None, payment_id: int | None, limit: int) -> None:
    """List them, the newest first."""
    asked = {"provider": provider, "status": status, "payment_id": payment_id}
    found = listings.list_webhooks(
        page=Page(limit=limit, offset=0, cursor=None, total=False),
        filters={name: value for name, value in asked.items() if value is not None},
    )
    for row in found["webhooks"]:
        click.echo(webhook_reading.describe(row))
    more = f"; --limit {limit} was reached" if found["has_more"] else ""
    click.echo(f"{found['count']} webhooks{more}")


@webhooks.command
@click.argument("webhook_id", type=int)
@with_appcontext
def replay(webhook_id: int) -> None:
    """Take one in once more."""
    try:
        service.replay(webhook_id=webhook_id, caller=system_user())
        click.echo(webhook_reading.describe(webhook_reading.get(webhook_id=webhook_id)))
    except WebhookNotFound as error:
        raise click.ClickException(error.detail) from None
