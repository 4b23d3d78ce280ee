"""Who there is, and what admins and the command line do to them; the last admin stays."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from payment_service.domain.operators import (
    BadText,
    By,
    EmailTaken,
    LastAdmin,
    NotAnAdmin,
    OwnRole,
    Refused,
    Role,
    StepUpFirst,
    UnknownOperator,
)
from payment_service.extensions import db
from payment_service.services import invites, operators
from tests.books import row, rows
from tests.fixtures import MakeApp, a_key
from tests.operators import CLI, KEYS, Person, a_session, acts, acts_of, an_operator, minutes_later
from tests.operators import app as app


@pytest.fixture
def alone(make_app: MakeApp, fresh_database: str) -> Flask:
    """On a database without any operator."""
    return make_app(**KEYS, database_url=fresh_database)


def cli(app: Flask, *arguments: str) -> Any:
    return app.test_cli_runner().invoke(args=["operators", *arguments])


# -- the last admin


@pytest.mark.parametrize("joined", [True, False])
def test_the_last_admin_stays(alone: Flask, joined: bool) -> None:
    admin = an_operator(alone, Role.ADMIN, joined=joined)
    with alone.app_context():
        with pytest.raises(LastAdmin):
            operators.disable(who=admin.email, by=CLI)
        with pytest.raises(LastAdmin):
            operators.change_role(who=admin.email, role=Role.APPROVER, by=CLI)
    assert (admin.row["role"], admin.row["active"]) == ("admin", True)
    another = an_operator(alone, Role.ADMIN)
    with alone.app_context():
        operators.disable(who=admin.email, by=CLI)
        with pytest.raises(LastAdmin):  # a disabled one does not count
            operators.change_role(who=another.email, role=Role.VIEWER, by=CLI)


def test_an_admin_who_never_came_replaces_none_who_did(alone: Flask) -> None:
    admin = an_operator(alone, Role.ADMIN)
    an_operator(alone, Role.ADMIN, joined=False)
    with alone.app_context(), pytest.raises(LastAdmin):
        operators.disable(who=admin.email, by=CLI)


@pytest.mark.parametrize("turn", range(3))
def test_of_eight_admins_that_go_at_once_one_stays(alone: Flask, turn: int) -> None:
    admins = [an_operator(alone, Role.ADMIN) for _ in range(8)]

    def go(number: int) -> bool:
        who = admins[number].email
        with alone.app_context():
            try:
                if number % 2:
                    operators.disable(who=who, by=CLI)
                else:
                    operators.change_role(who=who, role=Role.OPERATOR, by=CLI)
            except LastAdmin:
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(go, range(8))) == 7
    query = "SELECT count(*) AS n FROM operators WHERE active AND role = 'admin'"
    assert row(alone, query)["n"] == 1


def test_whether_an_admin_can_come_in(alone: Flask) -> None:
    def has_one() -> bool:
        with alone.app_context():
            return operators.has_admin()

    assert not has_one()
    an_operator(alone, Role.ADMIN, joined=False)
    an_operator(alone, Role.APPROVER)
    assert not has_one()
    an_operator(alone, Role.ADMIN)
    assert has_one()


# -- who may


def try_all(app: Flask, by: By, other: Person, refused: type[Refused]) -> None:
    """Each act that is done to operators, once."""
    with app.app_context():
        for act in (
            lambda: operators.add(email="x@example.com", role=Role.VIEWER, by=by),
            lambda: operators.change_role(who=other.email, role=Role.VIEWER, by=by),
            lambda: operators.disable(who=other.email, by=by),
            lambda: operators.enable(who=other.email, by=by),
            lambda: operators.reset_second_factor(who=other.email, by=by),
            lambda: invites.make(email=other.email, role=None, by=by),
        ):
            with pytest.raises(refused):
                act()
    assert acts(app, other) == ["operator_added"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.APPROVER])
def test_only_admins_do_anything_to_operators(app: Flask, role: Role) -> None:
    try_all(app, a_session(an_operator(app, role)).by, an_operator(app), NotAnAdmin)


def test_only_who_has_just_shown_who_he_is_does_anything_to_operators(app: Flask) -> None:
    admin = an_operator(app, Role.ADMIN)
    by = a_session(admin).by
    minutes_later(app, admin, 11)
    try_all(app, by, an_operator(app), StepUpFirst)


def test_nobody_changes_their_own_role(app: Flask) -> None:
    one, other = an_operator(app, Role.ADMIN), an_operator(app, Role.ADMIN)
    with app.app_context():
        with pytest.raises(OwnRole):
            operators.change_role(who=one.email, role=Role.VIEWER, by=a_session(one).by)
        operators.change_role(who=one.email, role=Role.VIEWER, by=a_session(other).by)
    last = acts_of(app, one)[-1]
    assert (last["act"], last["actor"]) == (
        "operator_role_changed",
        f"operator:{other.operator_id}",
    )
    assert json.loads(last["body"])["from"] == "admin"
    assert last["session_id"] is not None


def test_what_is_so_already_is_written_down_once(app: Flask) -> None:
    person = an_operator(app)
    with app.app_context():
        for _ in range(2):
            operators.disable(who=person.email, by=CLI)
        for _ in range(2):
            operators.enable(who=str(person.operator_id), by=CLI)
        for _ in range(2):
            operators.change_role(who=person.email, role=Role.APPROVER, by=CLI)
    assert acts(app, person)[1:] == [
        "operator_disabled",
        "operator_enabled",
        "operator_role_changed",
    ]


# -- who there is


def test_an_email_is_one_operator_s(app: Flask) -> None:
    person = an_operator(app)
    with app.app_context():
        with pytest.raises(EmailTaken):
            operators.add(email=person.email.upper(), role=Role.VIEWER, by=CLI)
        # Who comes by single sign-on is known by what the issuer calls him.
        number = operators.add(
            email=person.email, role=Role.VIEWER, by=CLI, issuer="i", subject=person.email
        )
        with pytest.raises(EmailTaken):
            operators.add(email="a@b", role=Role.VIEWER, by=CLI, issuer="i", subject=person.email)
        # One person may have both: who is to be kept out must not have another way in left.
        with pytest.raises(UnknownOperator, match=f"the number: {person.operator_id}, {number}"):
            operators.disable(who=person.email, by=CLI)
        for who in (person.operator_id, number):
            operators.disable(who=str(who), by=CLI)
    assert not person.row["active"]


def test_of_several_with_an_email_one_says_the_number(app: Flask) -> None:
    email = f"{a_key()}@example.com"
    with app.app_context():
        for subject in (a_key(), a_key()):
            operators.add(email=email, role=Role.VIEWER, by=CLI, issuer="i", subject=subject)
        with pytest.raises(UnknownOperator, match="say the number"):
            operators.disable(who=email, by=CLI)


@pytest.mark.parametrize("who", ["nobody@example.com", "0", "9" * 18, "9" * 30, "x", "", "²"])
def test_who_is_nobody_is_told_so(app: Flask, who: str) -> None:
    with app.app_context(), pytest.raises((UnknownOperator, BadText)):
        operators.disable(who=who, by=CLI)


@pytest.mark.parametrize("name", ["x" * 101, "a\x00b", "a\u202eb", "\x1b[31m"])
def test_a_name_is_one_that_can_be_shown(app: Flask, name: str) -> None:
    with app.app_context(), pytest.raises(BadText):
        operators.add(email="x@example.com", name=name, role=Role.VIEWER, by=CLI)


OPERATOR = {"email": "'a@b'", "name": "''", "role": "'viewer'", "created_by": "'test'"}


@pytest.mark.parametrize(
    ("changes", "guard"),
    [
        ({"email": "'A@b'"}, "ck_operators_email"),
        ({"role": "'owner'"}, "ck_operators_role"),
        ({"theme": "'pink'"}, "ck_operators_theme"),
        ({"numbers": "'xx_XX'"}, "ck_operators_numbers"),
        ({"issuer": "'i'"}, "ck_operators_identity"),
        ({"subject": "'s'"}, "ck_operators_identity"),
        ({"email": "NULL"}, "ck_operators_known"),
        ({"issuer": "'i'", "subject": "'s'", "password_hash": "'h'"}, "ck_operators_one_way_in"),
        ({"totp_secret": "'k1:'"}, "ck_operators_second_factor"),
        ({"totp_last_step": "1"}, "ck_operators_second_factor"),
    ],
)
def test_the_database_refuses_what_can_t_be(
    alone: Flask, changes: dict[str, str], guard: str
) -> None:
    values = OPERATOR | changes
    insert = f"INSERT INTO operators ({', '.join(values)}) VALUES ({', '.join(values.values())})"
    with alone.app_context(), pytest.raises(IntegrityError, match=guard), db.engine.begin() as one:
        one.execute(text(insert))


@pytest.mark.parametrize(
    ("changes", "guard"),
    [
        ({}, "uq_operators_email"),
        ({"issuer": "'i'", "subject": "'s'"}, "uq_operators_issuer_subject"),
    ],
)
def test_the_database_refuses_a_second_one(
    alone: Flask, changes: dict[str, str], guard: str
) -> None:
    values = OPERATOR | changes
    insert = f"INSERT INTO operators ({', '.join(values)}) VALUES ({', '.join(values.values())})"
    with alone.app_context(), pytest.raises(IntegrityError, match=guard), db.engine.begin() as one:
        one.execute(text(insert))
        one.execute(text(insert))


# -- the command line


def test_the_whole_way_by_command_line(alone: Flask) -> None:
    email = "first@example.com"
    invited = cli(alone, "invite", email.upper(), "--role", "admin")
    assert invited.exit_code == 0
    link = invited.output.strip()
    assert link.startswith("http://127.0.0.1:8082/admin/invite/")
    assert len(link.rpartition("/")[2]) == 43
    for arguments, says in (
        (["add", "second@example.com", "--role", "viewer"], "operator 2 was added"),
        (["role", "second@example.com", "operator"], "second@example.com is operator now"),
        (["disable", "2"], "2 is disabled"),
        (["enable", "2"], "2 is enabled"),
        (["reset-mfa", "second@example.com"], "second@example.com has no second factor now"),
        (["disable", email], "Error: This is the last active admin; make another one first."),
        (
            ["role", email, "viewer"],
            "Error: This is the last active admin; make another one first.",
        ),
        (["disable", "nobody@example.com"], "Error: There is no operator nobody@example.com."),
    ):
        done = cli(alone, *arguments)
        assert done.output.strip() == says
        assert (done.exit_code == 0) == (not says.startswith("Error"))
    assert cli(alone, "list").output.splitlines() == [
        "1 first@example.com admin: not yet in, never logged in",
        "2 second@example.com operator: not yet in, never logged in",
    ]
    written = rows(alone, "SELECT * FROM audit_log ORDER BY audit_id")
    assert [one["act"] for one in written] == [
        "operator_added",
        "invite_made",
        "operator_added",
        "operator_role_changed",
        "operator_disabled",
        "operator_enabled",
        "second_factor_reset",
    ]
    assert all(one["actor"].startswith("cli:") for one in written)
    assert "example.com" not in repr(written)
    assert link.rpartition("/")[2] not in repr(written)


def test_a_link_for_the_first_admin_as_long_as_none_can_come_in(alone: Flask) -> None:
    ask = ("invite", "admin@localhost", "--role", "admin", "--if-none")
    first, second = cli(alone, *ask).output, cli(alone, *ask).output
    assert first != second  # the first is dead
    an_operator(alone, Role.ADMIN)
    none = cli(alone, *ask)
    assert (none.exit_code, none.output) == (0, "")


def test_no_command_takes_a_password(app: Flask) -> None:
    for command in ("invite", "add", "role", "enable", "reset-mfa"):
        assert "--password" not in cli(app, command, "--help").output


def test_who_comes_by_single_sign_on_is_added_by_his_identity(app: Flask) -> None:
    email = f"{a_key()}@example.com"
    identity = ("--issuer", "https://login.example.com", "--subject", a_key())
    added = cli(app, "add", email, "--role", "viewer", *identity)
    assert added.exit_code == 0
    assert "single sign-on" in next(
        line for line in cli(app, "list").output.splitlines() if email in line
    )
    half = cli(app, "add", f"{a_key()}@example.com", "--role", "viewer", *identity[:2])
    assert half.exit_code == 1
    invited = cli(app, "invite", email)
    assert invited.exit_code == 1  # nobody has two ways in


def test_a_role_is_one_of_four(app: Flask) -> None:
    assert cli(app, "role", an_operator(app).email, "owner").exit_code == 2


def test_the_refusals_are_sentences() -> None:
    for kind in Refused.__subclasses__():
        assert kind.__doc__


def test_an_operator_who_is_listed_has_all_that_is_shown(app: Flask) -> None:
    person: Person = an_operator(app, Role.APPROVER, second=True)
    a_session(person)
    with app.app_context():
        (one,) = [one for one in operators.listed() if one.operator_id == person.operator_id]
    assert (one.email, one.role, one.active) == (person.email, Role.APPROVER, True)
    assert (one.by_password, one.by_sso, one.has_second_factor) == (True, False, True)
    assert one.last_login_at is not None
    line = next(x for x in cli(app, "list").output.splitlines() if person.email in x)
    assert "approver: password, second factor, last log-in 20" in line


def test_an_admin_is_who_the_session_says(app: Flask) -> None:
    assert By("operator:1", 1, Role.ADMIN, 1).is_admin
    assert not By("operator:1", 1, Role.APPROVER, 1).is_admin
    assert By("cli:somebody").is_admin
