"""Operators for tests: made as the service makes them, and what they do, each in a few words."""

from __future__ import annotations

import itertools
import secrets
import time
from dataclasses import dataclass
from typing import Any

import pyotp
import pytest
from flask import Flask

from payment_service.domain.operators import By, How, Reach, Role
from payment_service.extensions import db
from payment_service.identity import passwords, second_factor
from payment_service.models import Operator
from payment_service.models.columns import Secret
from payment_service.services import log_ins, operators, sessions
from payment_service.services.log_ins import NotLoggedIn
from payment_service.services.sessions import Begun, Current
from tests.books import execute, row, rows
from tests.fixtures import IN_PRODUCTION, MakeApp, a_key

PASSWORD = "nine lamps above the harbour"
HASH = passwords.hashed(PASSWORD)
CLI = By("cli:test")
KEYS: dict[str, Any] = {"encryption_keys": IN_PRODUCTION["encryption_keys"]}
"""What an app needs for second factors."""
AGENT = "Test/1.0"
_addresses = itertools.count(secrets.randbits(24))


@pytest.fixture(scope="module")
def app(make_app: MakeApp, database_of_module: str) -> Flask:
    """With second factors, on a database in which nobody else's admins are. (A module that imports
    it has this one for its `app`.)"""
    return make_app(**KEYS, database_url=database_of_module)


@dataclass
class Person:
    """An operator of the app, and what he knows."""

    app: Flask
    operator_id: int
    email: str
    secret: str = ""
    address: str = ""

    def log_in(
        self, password: str = PASSWORD, *, address: str | None = None, email: str | None = None
    ) -> Begun | NotLoggedIn:
        with self.app.app_context():
            return log_ins.by_password(
                email=email or self.email,
                password=password,
                address=address or self.address,
                agent=AGENT,
            )

    def logged_in(self) -> Begun:
        begun = self.log_in()
        assert isinstance(begun, Begun)
        return begun

    def now(self, begun: Begun) -> Current:
        """The session, which must be open."""
        found = current(self.app, begun.token)
        assert found is not None
        return found

    def code(self, off: int = 0) -> str:
        """What the telephone shows, or will show so many steps later."""
        return pyotp.TOTP(self.secret).at(int(time.time()) + off * second_factor.STEP_SECONDS)

    def send_code(self, begun: Begun, code: str) -> Begun | NotLoggedIn:
        now = self.now(begun)
        with self.app.app_context():
            return log_ins.by_code(now, code=code, address=self.address, agent=AGENT)

    @property
    def row(self) -> dict[str, Any]:
        return row(self.app, "SELECT * FROM operators WHERE operator_id = :id", id=self.operator_id)


def an_address() -> str:
    """That no other test comes from: tries are counted by it."""
    number = next(_addresses) % 2**24
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def a_wrong_code(secret: str) -> str:
    """One that the telephone does not show within the next hour, nor did just now."""
    now, totp = int(time.time()), pyotp.TOTP(secret)
    shown = {totp.at(now + off * second_factor.STEP_SECONDS) for off in range(-4, 120)}
    return next(code for code in (f"{number:06}" for number in range(1000)) if code not in shown)


def an_operator(
    app: Flask, role: Role = Role.OPERATOR, *, second: bool = False, joined: bool = True
) -> Person:
    """Who knows PASSWORD, unless he has not `joined`; with a `second` factor if that is said. Made
    without hashing anything: it takes longer than all the rest of a test."""
    email = f"{a_key()}@example.com"
    with app.app_context():
        person = Person(app, operators.add(email=email, role=role, by=CLI), email)
        own = Operator.__table__.c.operator_id == person.operator_id
        values: dict[str, Any] = {"password_hash": HASH} if joined else {}
        if second:
            person.secret = second_factor.new_secret()
            kept = Secret(person.operator_id, person.secret)
            values |= {"totp_secret": kept, "totp_last_step": 0}
        if values:
            with db.session.begin():
                db.session.execute(Operator.__table__.update().where(own).values(values))
    person.address = an_address()
    return person


def current(app: Flask, token: str) -> Current | None:
    with app.app_context():
        return sessions.current(token)


def begun(person: Person, how: How = How.CODE) -> Begun:
    """A session without the work of a log-in."""
    with person.app.app_context(), db.session.begin():
        return sessions.begin(
            operator_id=person.operator_id, how=how, address=person.address, agent=AGENT
        )


def a_session(person: Person) -> Current:
    """An open session that reaches everything."""
    found = person.now(begun(person))
    assert found.reach is Reach.ALL
    return found


def minutes_later(app: Flask, person: Person, minutes: float) -> None:
    """So much time passes for the person's sessions and wrong tries."""
    values = {"id": person.operator_id, "minutes": minutes}
    execute(
        app,
        "UPDATE operator_sessions SET"
        " created_at = created_at - make_interval(secs => :minutes * 60),"
        " seen_at = seen_at - make_interval(secs => :minutes * 60),"
        " stepped_up_at = stepped_up_at - make_interval(secs => :minutes * 60)"
        " WHERE operator_id = :id",
        **values,
    )
    execute(
        app,
        "UPDATE log_in_tries SET at = at - make_interval(secs => :minutes * 60)"
        " WHERE account = CAST(:id AS text)",
        **values,
    )


def acts_of(app: Flask, person: Person) -> list[dict[str, Any]]:
    """What the audit log has of a person, oldest first."""
    return rows(
        app,
        "SELECT * FROM audit_log WHERE object = :name ORDER BY audit_id",
        name=f"operator:{person.operator_id}",
    )


def acts(app: Flask, person: Person) -> list[str]:
    return [one["act"] for one in acts_of(app, person)]
