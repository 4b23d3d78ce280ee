"""flask audit verify | digest: one call each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from flask.cli import with_appcontext

from payment_service.services import audit as books
from payment_service.services import digests


@click.group
def audit() -> None:
    """The hash chains: of the payments' events and rows, and of the audit log."""


@audit.command
@click.option("--payment", "payment_id", type=int, help="Only this payment.")
@click.option(
    "--against",
    "kept",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Also whether the digests in this file, one a line, are still those of the chains.",
)
@with_appcontext
def verify(payment_id: int | None, kept: Path | None) -> None:
    """Hold the rows against the chains; a line for each that does not fit, and exit with 1."""
    if payment_id is not None and kept is not None:
        raise click.UsageError("a digest is over everything: leave out --payment")
    report = books.verify(payment_id=payment_id)
    lines = [str(broken) for broken in report.broken]
    if len(lines) == books.MOST:
        lines.append(f"not looked further: these are {books.MOST}")
    try:
        lines += digests.unfitting(kept) if kept else []
    except (OSError, UnicodeDecodeError) as error:
        lines.append(f"{kept} can't be read: {error}")
    if lines:
        # Half a character may stand in JSON, and nowhere else.
        raise click.ClickException("\n".join(lines).encode(errors="backslashreplace").decode())
    acts = "" if payment_id is not None else f", {report.acts} acts"
    click.echo(
        f"{report.payments} payments, {report.events} events{acts}: every row and chain fits"
    )


@audit.command
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]),
    help="UTC; default a minute ago, when nothing of then is still being written.",
)
@with_appcontext
def digest(until: datetime | None) -> None:
    """Print one digest over all chains, to be kept outside of this database."""
    moment = (until or datetime.now(UTC) - timedelta(minutes=1)).replace(microsecond=0, tzinfo=UTC)
    click.echo(str(digests.digest(until=moment)))
