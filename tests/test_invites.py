"""Links by which operators come in: good once, for a day, and only the last one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from payment_service.domain.operators import (
    BadText,
    EmailTaken,
    How,
    InviteOver,
    InvitePurpose,
    Reach,
    Refused,
    Role,
    UnknownOperator,
    WeakPassword,
)
from payment_service.services import invites, operators
from payment_service.services.invites import Invite
from payment_service.services.sessions import Begun
from tests.books import execute, row
from tests.fixtures import MakeApp, a_key
from tests.operators import (
    AGENT,
    CLI,
    PASSWORD,
    Person,
    acts,
    an_address,
    an_operator,
    begun,
    current,
)
from tests.operators import (
    app as app,
)


def make(app: Flask, email: str | None = None, **more: Any) -> Invite:
    given: dict[str, Any] = {"email": email or f"{a_key()}@example.com", "role": Role.OPERATOR}
    with app.app_context():
        return invites.make(**given | more, by=CLI)


def accept(app: Flask, token: str, **more: Any) -> Begun:
    given = {"name": "Somebody New", "password": PASSWORD, "address": an_address()}
    with app.app_context():
        return invites.accept(token=token, agent=AGENT, **given | more)


def person_of(app: Flask, email: str) -> Person:
    found = row(app, "SELECT operator_id FROM operators WHERE email = :email", email=email)
    return Person(app, found["operator_id"], email, address=an_address())


def test_joining(app: Flask) -> None:
    made = make(app)
    assert made.purpose is InvitePurpose.JOIN
    assert len(made.token) == 43
    with app.app_context():
        assert invites.look(made.token).email == made.email
    person = person_of(app, made.email)
    assert not isinstance(person.log_in(), Begun)
    came = accept(app, made.token, name="  Somebody   New ")
    now = person.now(came)
    assert (now.name, now.how, now.role, now.reach) == (
        "Somebody New",
        How.INVITE,
        Role.OPERATOR,
        Reach.ALL,
    )
    assert isinstance(person.log_in(), Begun)
    assert acts(app, person) == [
        "operator_added",
        "invite_made",
        "log_in_failed",
        "invite_used",
        "logged_in",
    ]


def test_a_link_works_once(app: Flask) -> None:
    made = make(app)
    accept(app, made.token)
    with app.app_context(), pytest.raises(InviteOver):
        invites.look(made.token)
    with pytest.raises(InviteOver):
        accept(app, made.token)


def test_of_eight_with_one_link_one_comes_in(app: Flask) -> None:
    made = make(app)
    passwords = [f"{turn} {PASSWORD}" for turn in range(8)]

    def come(turn: int) -> bool:
        try:
            accept(app, made.token, password=passwords[turn])
        except InviteOver:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(come, range(8)))
    assert sum(came) == 1
    person = person_of(app, made.email)
    assert isinstance(person.log_in(passwords[came.index(True)]), Begun)
    assert acts(app, person).count("invite_used") == 1


def test_a_link_is_good_for_a_day(app: Flask) -> None:
    made = make(app)
    older = "UPDATE operator_invites SET expires_at = expires_at - make_interval(hours => :hours)"
    execute(app, older, hours=23)
    with app.app_context():
        invites.look(made.token)
    execute(app, older, hours=1)
    with pytest.raises(InviteOver):
        accept(app, made.token)


def test_another_link_ends_the_one_before(app: Flask) -> None:
    first = make(app)
    second = make(app, first.email)
    with pytest.raises(InviteOver):
        accept(app, first.token)
    accept(app, second.token)


def test_disabling_ends_links_and_enabling_brings_none_back(app: Flask) -> None:
    made = make(app)
    with app.app_context():
        operators.disable(who=made.email, by=CLI)
        with pytest.raises(Refused, match="disabled"):
            invites.make(email=made.email, role=None, by=CLI)
        operators.enable(who=made.email, by=CLI)
    with pytest.raises(InviteOver):
        accept(app, made.token)


@pytest.mark.parametrize("token", ["", "x", "\x00", "\ud800", "x" * 65536])
def test_what_is_no_link_is_over(app: Flask, token: str) -> None:
    with app.app_context(), pytest.raises(InviteOver):
        invites.look(token)


def test_the_link_is_kept_nowhere(app: Flask) -> None:
    made = make(app)
    kept = row(
        app,
        "SELECT i.*, a.body FROM operator_invites AS i, audit_log AS a"
        " ORDER BY invite_id DESC, audit_id DESC LIMIT 1",
    )
    assert made.token not in repr([kept, made])


def test_what_is_refused_uses_no_link(app: Flask) -> None:
    made = make(app)
    for wrong, error in (
        ({"password": "short"}, WeakPassword),
        ({"password": made.email}, WeakPassword),
        ({"name": ""}, BadText),
        ({"name": "x" * 101}, BadText),
    ):
        with pytest.raises(error):
            accept(app, made.token, **wrong)
    accept(app, made.token)


def test_a_new_password_for_who_is_there(app: Flask) -> None:
    """He keeps his name, his second factor, and no session."""
    person = an_operator(app, second=True)
    before = begun(person)
    made = make(app, person.email, role=None)
    assert made.purpose is InvitePurpose.PASSWORD
    new = "eleven boats below the bridge"
    execute(
        app, "UPDATE operators SET name = 'Known' WHERE operator_id = :id", id=person.operator_id
    )
    came = accept(app, made.token, name="", password=new)
    assert came.reach is Reach.CODE  # the link is no second factor
    assert person.row["name"] == "Known"
    assert current(app, before.token) is None
    assert isinstance(person.log_in(new), Begun)
    assert not isinstance(person.log_in(), Begun)


def test_a_link_changes_no_role(app: Flask) -> None:
    person = an_operator(app, Role.VIEWER)
    with pytest.raises(Refused, match="role is viewer"):
        make(app, person.email, role=Role.ADMIN)
    with pytest.raises(UnknownOperator):
        make(app, role=None)
    assert person.row["role"] == "viewer"


@pytest.mark.parametrize(
    "email", ["", "nobody", "a@b@c", "a b@c", "ä@b", "a@b\x00", "a@" + "b" * 260]
)
def test_who_is_invited_has_an_email(app: Flask, email: str) -> None:
    with pytest.raises(BadText):
        make(app, email or " ")


def test_who_comes_by_single_sign_on_gets_no_link(app: Flask) -> None:
    """The e-mail is no proof: the link makes another operator, or none."""
    email = f"{a_key()}@example.com"
    with app.app_context():
        operators.add(email=email, role=Role.ADMIN, by=CLI, issuer="i", subject=a_key())
        with pytest.raises(UnknownOperator):
            invites.make(email=email, role=None, by=CLI)
    made = make(app, email, role=Role.VIEWER)
    accept(app, made.token)
    found = row(app, "SELECT role FROM operators WHERE email = :e AND issuer IS NULL", e=email)
    assert found["role"] == "viewer"
    with app.app_context(), pytest.raises(EmailTaken):
        operators.add(email=email, role=Role.VIEWER, by=CLI)


def test_where_nobody_comes_by_password_no_link_does(
    app: Flask, make_app: MakeApp, database_of_module: str
) -> None:
    made = make(app)
    sso_only = make_app(operator_login="sso", database_url=database_of_module)
    with pytest.raises(Refused, match="single sign-on"):
        make(sso_only)
    with pytest.raises(InviteOver):
        accept(sso_only, made.token)
