"""flask outbox parked | deliver | skip: one call each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from flask.cli import with_appcontext

from payment_service.cli.caller import system_user
from payment_service.outbox.routes import SINKS
from payment_service.services import deliveries
from payment_service.services.deliveries import Which


def _which(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--seq", type=int, help="Of this event of the payment."),
        click.option("--payment", "payment_id", type=int, help="Of this payment."),
        click.option("--sink", type=click.Choice(SINKS), help="At this sink."),
    ):
        command = option(command)
    return command


_all = click.option("--all", "everything", is_flag=True, help="At every sink, of every payment.")


def _chosen(
    sink: str | None, payment_id: int | None, seq: int | None, everything: bool = True
) -> Which:
    which = Which(sink, payment_id, seq)
    if seq is not None and payment_id is None:
        raise click.UsageError("--seq counts the events of one payment: name --payment too")
    if which == Which() and not everything:
        raise click.UsageError("say which: --sink, --payment, or --all")
    return which


@click.group
def outbox() -> None:
    """Deliveries of events that were parked."""


@outbox.command
@_which
@click.option("--limit", default=100, show_default=True)
@with_appcontext
def parked(sink: str | None, payment_id: int | None, seq: int | None, limit: int) -> None:
    """List what was parked, and why."""
    rows = deliveries.parked(which=_chosen(sink, payment_id, seq), limit=limit)
    for row in rows:
        click.echo(deliveries.describe(row))
    more = f"; --limit {limit} was reached" if len(rows) == limit else ""
    click.echo(f"{len(rows)} parked{more}")


@outbox.command
@_which
@_all
@with_appcontext
def deliver(sink: str | None, payment_id: int | None, seq: int | None, everything: bool) -> None:
    """Try again now what was parked, or failed and waits for its next try."""
    which = _chosen(sink, payment_id, seq, everything)
    count = deliveries.deliver(which=which, caller=system_user())
    click.echo(f"{count} due now; flask worker delivers them")


@outbox.command
@_which
@_all
@click.option("--reason", required=True, help="Kept with the delivery.")
@click.option("--waiting", is_flag=True, help="Also those that are not parked.")
@with_appcontext
def skip(
    sink: str | None,
    payment_id: int | None,
    seq: int | None,
    everything: bool,
    reason: str,
    waiting: bool,
) -> None:
    """Give up what was parked: the sink will not hear of it. What waits behind it goes on."""
    which = _chosen(sink, payment_id, seq, everything)
    count = deliveries.skip(which=which, caller=system_user(), reason=reason, waiting=waiting)
    click.echo(f"{count} skipped")
