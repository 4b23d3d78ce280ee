"""flask operators invite | add | role | disable | enable | reset-mfa | list: one call each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC

import click
from flask.cli import with_appcontext

from payment_service.cli.caller import system_user
from payment_service.config import operators as rules
from payment_service.config import settings
from payment_service.config.kinds import each
from payment_service.domain.events import iso
from payment_service.domain.operators import By, Refused, Role
from payment_service.services import invites
from payment_service.services import operators as people

_role = click.Choice([str(role) for role in Role])
_email = click.argument("email")
_who = click.argument("who", metavar="EMAIL|NUMBER")


@click.group
def operators() -> None:
    """Who uses the panel. What is done here is written down under the system user's name."""


@operators.command
@_email
@click.option("--role", type=_role, help="Of a new operator.")
@click.option("--name", default="", help="Of a new operator; he may say another one.")
@click.option("--if-none", is_flag=True, help="Only if no admin can come in yet.")
@with_appcontext
def invite(email: str, role: str | None, name: str, if_none: bool) -> None:
    """Print a link, good once and for 24 hours, by which somebody chooses a password.

    A new operator joins by it; one who is there gets a new password by it. Links that he was given
    before die.
    """
    if if_none and (people.has_admin() or not rules.password_lets_in(settings())):
        return
    with _told():
        made = invites.make(email=email, role=Role(role) if role else None, name=name, by=_by())
    click.echo(f"{_address()}/admin/invite/{made.token}")


@operators.command
@_email
@click.option("--role", type=_role, required=True)
@click.option("--name", default="")
@click.option("--issuer", help="Who comes by single sign-on is known by this and --subject.")
@click.option("--subject", help="What the issuer calls him.")
@with_appcontext
def add(email: str, role: str, name: str, issuer: str | None, subject: str | None) -> None:
    """Add an operator, without a password: nobody sets one for another.

    He comes in by a link (flask operators invite EMAIL) or, with --issuer and --subject, by single
    sign-on; then the issuer says his role anew each time.
    """
    with _told():
        number = people.add(
            email=email, role=Role(role), name=name, issuer=issuer, subject=subject, by=_by()
        )
    click.echo(f"operator {number} was added")


@operators.command
@_who
@click.argument("role", type=_role)
@with_appcontext
def role(who: str, role: str) -> None:
    """Change what an operator may do. His sessions end."""
    with _told():
        people.change_role(who=who, role=Role(role), by=_by())
    click.echo(f"{who} is {role} now")


@operators.command
@_who
@with_appcontext
def disable(who: str) -> None:
    """Keep an operator out from now on. His sessions and links end."""
    with _told():
        people.disable(who=who, by=_by())
    click.echo(f"{who} is disabled")


@operators.command
@_who
@with_appcontext
def enable(who: str) -> None:
    """Let a disabled operator in again."""
    with _told():
        people.enable(who=who, by=_by())
    click.echo(f"{who} is enabled")


@operators.command("reset-mfa")
@_who
@with_appcontext
def reset_mfa(who: str) -> None:
    """Take a lost second factor away, and its recovery codes. His sessions end."""
    with _told():
        people.reset_second_factor(who=who, by=_by())
    click.echo(f"{who} has no second factor now")


@operators.command("list")
@with_appcontext
def list_() -> None:
    """Print all operators."""
    for one in people.listed():
        way = "single sign-on" if one.by_sso else "password" if one.by_password else "not yet in"
        more = [
            *([] if one.active else ["DISABLED"]),
            *(["second factor"] if one.has_second_factor else []),
            _last(one),
        ]
        click.echo(f"{one.operator_id} {one.email or '-'} {one.role}: {', '.join([way, *more])}")


def _last(one: people.Profile) -> str:
    if one.last_login_at is None:
        return "never logged in"
    return f"last log-in {iso(one.last_login_at.astimezone(UTC))}"


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise click.ClickException(str(error)) from None


def _by() -> By:
    return By(system_user().name)


def _address() -> str:
    """Where the panel is, as far as the settings know."""
    known = settings()
    hosts = each(known.allowed_hosts) if known.allowed_hosts else []
    if known.app_env == "production":
        return f"https://{hosts[0].lstrip('.')}" if hosts else ""
    return f"http://127.0.0.1:{known.service_port}"
