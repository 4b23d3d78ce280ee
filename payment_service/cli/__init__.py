"""flask seed | worker | states | outbox | webhooks | totals | audit | recover | token | keys |
operators: one call each."""

from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy import Connection

from payment_service import seeding
from payment_service.cli import worker_port
from payment_service.cli.audit import audit
from payment_service.cli.caller import system_user
from payment_service.cli.keys import keys
from payment_service.cli.operators import operators
from payment_service.cli.outbox import outbox
from payment_service.cli.recover import recover
from payment_service.cli.token import token
from payment_service.cli.totals import totals
from payment_service.cli.webhooks import webhooks
from payment_service.config import BadSettings, settings
from payment_service.config.urls import is_loopback
from payment_service.domain import states as table
from payment_service.domain.acts import Act
from payment_service.domain.operators import By, EmailTaken, Role
from payment_service.extensions import db
from payment_service.services import audit_log, starting
from payment_service.services import keys as needed_keys
from payment_service.services import operators as people
from payment_service.services import worker as beats
from payment_service.telemetry import metric_files, traces

SECOND = "approver@localhost"
SEEDS = Path(__file__).resolve().parents[2] / "seeds"


def register(app: Flask) -> None:
    """Puts the commands on the app. Raises BadSettings where `flask run` makes it for others than
    this machine, and nobody is asked for a token."""
    _refuse_open_run(app)
    money = (seed, worker, states, outbox, webhooks, totals)
    for command in (*money, audit, recover, token, keys, operators):
        app.cli.add_command(command)


def _refuse_open_run(app: Flask) -> None:
    """`flask run` listens where --host and FLASK_RUN_HOST say, whatever SERVICE_HOST does."""
    context = click.get_current_context(silent=True)
    host = context.params.get("host") if context and context.info_name == "run" else None
    off = app.extensions["settings"].auth_mode == "off"
    if off and host and not host.startswith("unix:") and not is_loopback(host):
        raise BadSettings({"AUTH_MODE": ["off is refused unless --host is loopback, as 127.0.0.1"]})


@click.command
@click.option("--payments", type=click.Path(), help="Import payment history from this CSV file.")
@click.option("--skip-bad", is_flag=True, help="Load the good rows, write the bad ones to a file.")
@click.option("--bad-rows", type=click.Path(), help="Where the bad rows go.")
@click.option("--date-format", help="How dates are written, such as %m/%d/%Y %H:%M; default ISO.")
@click.option("--currency", help="Of all amounts; default DEFAULT_CURRENCY.")
@click.option(
    "--demo/--no-demo",
    default=None,
    help="Load demo payments into an empty database; default SEED_DEMO.",
)
@with_appcontext
def seed(
    payments: str | None,
    skip_bad: bool,
    bad_rows: str | None,
    date_format: str | None,
    currency: str | None,
    demo: bool | None,
) -> None:
    """Load the provider catalog, and history from CSV."""
    chosen = (currency or settings().default_currency).upper()
    place: dict[str, Any] = {
        "currency": chosen,
        "max_amount": settings().max_amount.of(chosen),
        "timezone": settings().seed_timezone,
    }
    try:
        path = SEEDS / "providers.csv"
        added = seeding.load_catalog(db.engine, path=path, written_down=_catalog_edited)
        click.echo(f"Provider catalog: {added} offers added")
        if payments:
            report: Any = seeding.import_payments(
                db.engine,
                path=payments,
                skip_bad=skip_bad,
                bad_rows_path=bad_rows,
                date_format=date_format,
                **place,
            )
        elif settings().seed_demo if demo is None else demo:
            # The demo's amounts are a few hundred rupees, whatever is set for the real ones.
            place |= {"currency": "INR", "max_amount": Decimal(1000)}
            report = seeding.seed_demo_if_empty(db.engine, path=SEEDS / "payments.csv", **place)
            _second_operator()
        else:
            report = None
    except seeding.SeedError as error:
        raise click.ClickException(str(error)) from None
    for line in report.lines() if report else ():
        click.echo(line)


def _second_operator() -> None:
    """Beside the first admin somebody who may approve what that one asks for, so that it can be
    tried. He comes in by a link, as everybody does."""
    if settings().app_env == "production":
        return
    try:
        people.add(email=SECOND, role=Role.APPROVER, by=By(system_user().name))
    except EmailTaken:
        return
    click.echo(f"Operator {SECOND} may approve refunds: flask operators invite {SECOND}")


def _catalog_edited(connection: Connection, added: int) -> None:
    """In the transaction that adds them. Seeding stands beside the services and knows none."""
    audit_log.write(
        actor=system_user().name,
        act=Act.CATALOG_EDITED,
        body={"offers_added": added},
        connection=connection,
    )


@click.command
@with_appcontext
def worker() -> None:
    """Run the background beats until SIGTERM; any number of workers may run."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    starting.look_at_database()
    needed_keys.refuse_missing()
    starting.warn_of_names()
    starting.warn_of_routes()
    starting.write_down(process="worker", started=datetime.now(UTC))
    stopping = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopping.set())
    if metrics := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        metric_files.fold(Path(metrics))  # of workers that died
    traces.start(settings(), "worker")
    with worker_port.served(app):
        beats.run(app, stopping)
    traces.stop()


@click.command
def states() -> None:
    """Print the payment's states and edges as a Graphviz graph."""
    click.echo(table.graph())
