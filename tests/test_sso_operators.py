"""What follows once an issuer has said who it is: the operator, his role, his session."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from payment_service.domain.operators import How, NotAdmitted, OutOfReach, Reach, Role
from payment_service.services import audit_log, operators, sessions, sso
from payment_service.services.sessions import Begun
from tests.books import execute, row, rows
from tests.fixtures import MakeApp, a_key
from tests.operators import AGENT, CLI, a_session, an_address, an_operator, current

ISSUER = "https://login.example.com"


@pytest.fixture(scope="module")
def app(make_app: MakeApp, database_of_module: str) -> Flask:
    """Where operators need a second factor, which is the issuer's business here."""
    return make_app(operator_mfa="required", database_url=database_of_module)


def log_in(app: Flask, subject: str, **more: Any) -> Begun:
    given: dict[str, Any] = {
        "email": f"{subject}@Example.com",
        "name": "Some Body",
        "role": Role.OPERATOR,
        "state": a_key(),
        "address": an_address(),
    }
    with app.app_context():
        return sso.log_in(issuer=ISSUER, subject=subject, agent=AGENT, **given | more)


def operator_of(app: Flask, subject: str) -> dict[str, Any]:
    return row(app, "SELECT * FROM operators WHERE subject = :subject", subject=subject)


def acts(app: Flask, subject: str) -> list[str]:
    name = f"operator:{operator_of(app, subject)['operator_id']}"
    written = rows(
        app, "SELECT act FROM audit_log WHERE object = :name ORDER BY audit_id", name=name
    )
    return [one["act"] for one in written]


def test_who_comes_first_is_made_an_operator(app: Flask) -> None:
    subject = a_key()
    came = log_in(app, subject)
    now = current(app, came.token)
    assert now is not None
    assert (now.how, now.role, now.reach) == (How.SSO, Role.OPERATOR, Reach.ALL)
    assert now.email == f"{subject}@example.com"
    assert not now.has_password
    assert acts(app, subject) == ["operator_added", "logged_in"]
    log_in(app, subject)
    assert acts(app, subject)[2:] == ["logged_in"]


def test_nobody_is_known_by_an_email(app: Flask) -> None:
    admin = an_operator(app, Role.ADMIN)
    came = log_in(app, a_key(), email=admin.email, role=Role.VIEWER)
    now = current(app, came.token)
    assert now is not None
    assert now.operator_id != admin.operator_id
    assert now.role is Role.VIEWER
    assert admin.row["role"] == "admin"


def test_an_issuer_may_know_no_email(app: Flask) -> None:
    for email in (None, "", "no email"):
        now = current(app, log_in(app, a_key(), email=email).token)
        assert now is not None
        assert now.email is None


def test_the_role_is_taken_anew(app: Flask) -> None:
    subject = a_key()
    first = log_in(app, subject, role=Role.ADMIN)
    same = log_in(app, subject, role=Role.ADMIN)
    assert current(app, first.token) is not None
    lower = log_in(app, subject, role=Role.VIEWER)
    assert current(app, first.token) is current(app, same.token) is None
    now = current(app, lower.token)
    assert now is not None
    assert now.role is Role.VIEWER
    query = "SELECT body FROM audit_log WHERE session_id = :id"
    body = json.loads(row(app, query, id=lower.session_id)["body"])
    assert (body["role_before"], body["role"]) == ("admin", "viewer")


def test_who_has_no_role_any_more_is_refused_and_put_out(app: Flask) -> None:
    subject = a_key()
    before = log_in(app, subject)
    with pytest.raises(NotAdmitted):
        log_in(app, subject, role=None)
    assert current(app, before.token) is None
    assert acts(app, subject)[-1] == "log_in_failed"


def test_who_never_had_a_role_is_refused_and_not_made(app: Flask) -> None:
    subject = a_key()
    with pytest.raises(NotAdmitted):
        log_in(app, subject, role=None)
    assert not rows(app, "SELECT 1 FROM operators WHERE subject = :s", s=subject)
    (written,) = rows(app, "SELECT * FROM audit_log WHERE body LIKE :s", s=f"%{subject}%")
    assert written["act"] == "log_in_failed"


def test_an_email_as_subject_is_not_written_down(app: Flask) -> None:
    """What is written down stays for ever."""
    subject = f"{a_key()}@example.com"
    with pytest.raises(NotAdmitted):
        log_in(app, subject, role=None)
    with app.app_context():
        sso.write_refused(why="nonce", issuer=ISSUER, subject=subject, address="10.0.0.1")
        kept = audit_log.unknown_name(subject)
    assert len(rows(app, "SELECT 1 FROM audit_log WHERE body LIKE :s", s=f"%{kept}%")) == 2
    assert not rows(app, "SELECT 1 FROM audit_log WHERE body LIKE :s", s=f"%{subject}%")


def test_who_is_disabled_is_refused(app: Flask) -> None:
    subject = a_key()
    log_in(app, subject)
    with app.app_context():
        operators.disable(who=str(operator_of(app, subject)["operator_id"]), by=CLI)
    with pytest.raises(NotAdmitted):
        log_in(app, subject)


def test_a_state_works_once(app: Flask) -> None:
    state, subject = a_key(), a_key()
    came = log_in(app, subject, state=state)
    for again in (subject, a_key()):
        with pytest.raises(NotAdmitted):
            log_in(app, again, state=state)
    assert current(app, came.token) is not None
    execute(app, "UPDATE used_states SET used_at = used_at - interval '2 days'")
    log_in(app, subject)
    assert row(app, "SELECT count(*) AS n FROM used_states")["n"] == 1


def test_of_eight_with_one_state_one_comes_in(app: Flask) -> None:
    state, subject = a_key(), a_key()

    def come(_: int) -> bool:
        try:
            log_in(app, subject, state=state)
        except NotAdmitted:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(come, range(8))) == 1


def test_eight_that_come_first_at_once_are_one_operator(app: Flask) -> None:
    subject = a_key()
    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(lambda _: log_in(app, subject), range(8)))
    assert len({one.operator_id for one in came}) == 1
    assert acts(app, subject).count("operator_added") == 1
    assert all(current(app, one.token) is not None for one in came)


# -- stepping up


def stepped_up(app: Flask, token: str) -> bool:
    now = current(app, token)
    assert now is not None
    with app.app_context():
        return sessions.stepped_up(now)


def test_a_log_in_is_as_fresh_as_the_issuer_says(app: Flask) -> None:
    now = datetime.now(UTC)
    assert stepped_up(app, log_in(app, a_key(), auth_time=now).token)
    assert not stepped_up(app, log_in(app, a_key(), auth_time=now - timedelta(hours=1)).token)
    assert not stepped_up(app, log_in(app, a_key()).token)


def step_up(app: Flask, came: Begun, subject: str, **more: Any) -> Begun:
    now = current(app, came.token)
    assert now is not None
    given: dict[str, Any] = {"auth_time": datetime.now(UTC), "state": a_key(), "issuer": ISSUER}
    given["role"] = Role.OPERATOR
    with app.app_context():
        return sso.step_up(now, subject=subject, address=an_address(), agent=AGENT, **given | more)


def test_stepping_up_gives_a_new_session(app: Flask) -> None:
    subject = a_key()
    came = log_in(app, subject)
    stepped = step_up(app, came, subject)
    assert stepped_up(app, stepped.token)
    assert current(app, came.token) is None
    assert acts(app, subject)[-1] == "stepped_up"


@pytest.mark.parametrize("wrong", ["subject", "issuer", "state"])
def test_somebody_else_steps_nobody_up(app: Flask, wrong: str) -> None:
    subject, other, state = a_key(), a_key(), a_key()
    came = log_in(app, subject)
    log_in(app, other, state=state)
    given = {
        "subject": {"subject": other},
        "issuer": {"subject": subject, "issuer": "https://other.example.com"},
        "state": {"subject": subject, "state": state},
    }[wrong]
    with pytest.raises(NotAdmitted):
        step_up(app, came, **given)
    assert not stepped_up(app, came.token)
    assert acts(app, subject)[-1] == "step_up_failed"


def test_a_session_that_is_over_is_not_stepped_up(app: Flask) -> None:
    person = an_operator(app)
    now = a_session(person)
    with app.app_context():
        sessions.log_out(now)
    execute(
        app,
        "UPDATE operators SET issuer = :i, subject = :s, password_hash = NULL"
        " WHERE operator_id = :id",
        i=ISSUER,
        s=person.email,
        id=person.operator_id,
    )
    with app.app_context(), pytest.raises(OutOfReach):
        sso.step_up(
            now,
            issuer=ISSUER,
            subject=person.email,
            role=Role.ADMIN,
            auth_time=datetime.now(UTC),
            state=a_key(),
            address=an_address(),
            agent=AGENT,
        )


def test_what_is_refused_before_anybody_is_known_is_written_down(app: Flask) -> None:
    address = an_address()
    with app.app_context():
        sso.write_refused(why="wrong nonce", issuer=ISSUER, subject=None, address=address)
    (written,) = rows(app, "SELECT * FROM audit_log WHERE address = :at", at=address)
    assert (written["act"], written["reason"]) == ("log_in_failed", "wrong nonce")
