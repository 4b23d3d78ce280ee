"""Sessions of operators: what a copy of a cookie opens, and when it opens nothing any more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from payment_service.domain.operators import Busy, By, How, Numbers, OutOfReach, Role, Theme
from payment_service.identity import passwords
from payment_service.services import operators, own_settings, sessions
from payment_service.services.sessions import Current
from tests.books import execute, row
from tests.fixtures import MakeApp
from tests.operators import (
    AGENT,
    CLI,
    PASSWORD,
    Person,
    a_session,
    acts,
    an_operator,
    begun,
    current,
    minutes_later,
)
from tests.operators import (
    app as app,
)

NEW = "eleven boats below the bridge"


def kept(app: Flask, session_id: int) -> dict[str, object]:
    return row(app, "SELECT * FROM operator_sessions WHERE session_id = :id", id=session_id)


def test_what_the_cookie_holds_is_kept_nowhere(app: Flask) -> None:
    came = begun(an_operator(app))
    assert len(came.token) == 43  # 256 bits
    assert came.token not in repr(came)
    assert came.token not in repr(kept(app, came.session_id))


@pytest.mark.parametrize("token", [None, "", "x", "\x00", "\ud800", "é" * 43, "x" * 65536])
def test_what_is_no_token_opens_nothing(app: Flask, token: str | None) -> None:
    assert current(app, token or "") is None


def log_out(person: Person, now: Current) -> None:
    sessions.log_out(now)


def end_it(person: Person, now: Current) -> None:
    assert sessions.end(session_id=now.session_id, by=now.by)


def admin_ends_it(person: Person, now: Current) -> None:
    assert sessions.end(session_id=now.session_id, by=By("operator:0", 0, Role.ADMIN, None))


def disable(person: Person, now: Current) -> None:
    operators.disable(who=person.email, by=CLI)


def disable_and_enable(person: Person, now: Current) -> None:
    operators.disable(who=person.email, by=CLI)
    operators.enable(who=person.email, by=CLI)


def change_role(person: Person, now: Current) -> None:
    operators.change_role(who=person.email, role=Role.APPROVER, by=CLI)


def reset(person: Person, now: Current) -> None:
    operators.reset_second_factor(who=person.email, by=CLI)


def change_password(person: Person, now: Current) -> None:
    changed = own_settings.change_password(
        now, old=PASSWORD, new=NEW, address=person.address, agent=AGENT
    )
    assert sessions.current(changed.token) is not None


@pytest.mark.parametrize(
    ("act", "why", "written"),
    [
        (log_out, "log-out", "logged_out"),
        (end_it, "by operator", "session_ended"),
        (admin_ends_it, "by admin", "session_ended"),
        (disable, "disabled", "operator_disabled"),
        (disable_and_enable, "disabled", "operator_enabled"),
        (change_role, "role", "operator_role_changed"),
        (reset, "second factor", "second_factor_reset"),
        (change_password, "replaced", "password_changed"),
    ],
)
def test_a_cookie_that_was_copied_before_opens_nothing_after(
    app: Flask, act: Callable[[Person, Current], None], why: str, written: str
) -> None:
    person, other = an_operator(app), an_operator(app)
    came, others = begun(person), begun(other)
    now = person.now(came)
    with app.app_context():
        act(person, now)
    assert current(app, came.token) is None
    ended = kept(app, came.session_id)
    assert ended["ended_why"] == why
    assert ended["ended_at"] is not None
    assert current(app, others.token) is not None
    query = "SELECT act FROM audit_log ORDER BY audit_id DESC LIMIT 1"
    assert row(app, query)["act"] == written


def test_a_disabled_operator_s_open_session_opens_nothing(app: Flask) -> None:
    """Whatever ends sessions, or forgets to."""
    person = an_operator(app)
    came = begun(person)
    execute(
        app, "UPDATE operators SET active = false WHERE operator_id = :id", id=person.operator_id
    )
    assert current(app, came.token) is None


def test_a_session_ends_when_nobody_uses_it(app: Flask) -> None:
    person = an_operator(app)
    came = begun(person)
    for _ in range(3):
        minutes_later(app, person, 29)
        assert current(app, came.token) is not None  # which is use
    minutes_later(app, person, 31)
    assert current(app, came.token) is None


def test_a_session_ends_after_half_a_day_of_use(app: Flask) -> None:
    person = an_operator(app)
    came = begun(person)
    for _ in range(24):
        minutes_later(app, person, 29)
        assert current(app, came.token) is not None
    minutes_later(app, person, 25)
    assert current(app, came.token) is None
    with app.app_context():
        assert sessions.list_of(operator_id=person.operator_id) == []


def test_a_request_writes_that_it_was_here_once_a_minute(app: Flask) -> None:
    person = an_operator(app)
    came = begun(person)

    def seen() -> object:
        return kept(app, came.session_id)["seen_at"]

    first = seen()
    assert current(app, came.token) is not None
    assert seen() == first
    minutes_later(app, person, 1.1)
    before = seen()
    assert current(app, came.token) is not None
    assert seen() != before


def test_a_short_idle_time_is_kept_to(make_app: MakeApp) -> None:
    app = make_app(session_idle_seconds=59.0)
    person = an_operator(app)
    came = begun(person)
    for _ in range(4):
        minutes_later(app, person, 30 / 60)
        assert current(app, came.token) is not None
    minutes_later(app, person, 60 / 60)
    assert current(app, came.token) is None


def test_nobody_ends_another_s_session(app: Flask) -> None:
    person, other = an_operator(app), an_operator(app, Role.APPROVER)
    came = begun(person)
    with app.app_context():
        assert not sessions.end(session_id=came.session_id, by=a_session(other).by)
        assert not sessions.end(session_id=0, by=a_session(other).by)
    assert current(app, came.token) is not None


def test_a_session_ends_once(app: Flask) -> None:
    person = an_operator(app)
    now = a_session(person)
    with app.app_context():
        sessions.log_out(now)
        sessions.log_out(now)
        assert not sessions.end(session_id=now.session_id, by=now.by)
    assert acts(app, person)[1:] == []
    assert kept(app, now.session_id)["ended_why"] == "log-out"


def test_all_but_one_s_own_end(app: Flask) -> None:
    person = an_operator(app)
    others = [begun(person) for _ in range(3)]
    came = begun(person)
    now = person.now(came)
    with app.app_context():
        assert len(sessions.list_of(operator_id=person.operator_id)) == 4
        assert sessions.end_others(now) == 3
        (left,) = sessions.list_of(operator_id=person.operator_id)
        assert sessions.end_others(now) == 0
    assert left.session_id == came.session_id
    assert (left.how, left.address, left.agent) == (How.CODE, person.address, AGENT)
    assert all(current(app, one.token) is None for one in others)
    assert current(app, came.token) is not None


def test_an_agent_is_kept_short_and_printable(app: Flask) -> None:
    person = an_operator(app)
    with app.app_context():
        with sessions.db.session.begin():
            sessions.begin(
                operator_id=person.operator_id,
                how=How.CODE,
                address=person.address,
                agent="a\x00b\nc" + "x" * 1000,
            )
        (one,) = sessions.list_of(operator_id=person.operator_id)
    assert one.agent.startswith("abcx")
    assert len(one.agent) == sessions.LONGEST_AGENT


def test_who_is_replaced_is_replaced_once(app: Flask) -> None:
    """Eight requests of one cookie: one of them leads to the next session."""
    person = an_operator(app)
    now = a_session(person)

    def replace(_: int) -> bool:
        with app.app_context():
            try:
                with sessions.db.session.begin():
                    sessions.replace(now, how=How.CODE, address=person.address, agent=AGENT)
            except OutOfReach:
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(replace, range(8))) == 1
    with app.app_context():
        assert len(sessions.list_of(operator_id=person.operator_id)) == 1


def test_who_logs_in_while_he_is_disabled_stays_out(app: Flask) -> None:
    """Whichever comes first, no session is left."""
    for _ in range(5):
        person = an_operator(app)

        def come(_: int, person: Person = person) -> None:
            with contextlib.suppress(OutOfReach):
                begun(person)

        def put_out(person: Person = person) -> None:
            with app.app_context():
                operators.disable(who=person.email, by=CLI)

        with ThreadPoolExecutor(8) as pool:
            coming = [pool.submit(come, turn) for turn in range(4)]
            out = pool.submit(put_out)
            coming += [pool.submit(come, turn) for turn in range(4)]
            for one in [*coming, out]:
                one.result()
        query = (
            "SELECT count(*) AS n FROM operator_sessions"
            " WHERE operator_id = :id AND ended_at IS NULL"
        )
        assert row(app, query, id=person.operator_id)["n"] == 0


# -- one's own settings


def test_a_new_password_takes_the_old_one_s_place(app: Flask) -> None:
    person = an_operator(app)
    others = begun(person)
    now = a_session(person)
    with app.app_context():
        own_settings.change_password(
            now, old=PASSWORD, new=NEW, address=person.address, agent=AGENT
        )
    assert current(app, others.token) is None
    assert not hasattr(person.log_in(), "token")
    assert hasattr(person.log_in(NEW), "token")


def test_a_password_that_was_not_looked_at_is_no_wrong_one(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = an_operator(app)
    now = a_session(person)

    def full(password: str, kept: str | None) -> bool:
        raise Busy("Come again.")

    monkeypatch.setattr(passwords, "matches", full)
    with app.app_context(), pytest.raises(Busy):
        own_settings.change_password(
            now, old=PASSWORD, new=NEW, address=person.address, agent=AGENT
        )
    query = "SELECT count(*) AS n FROM log_in_tries WHERE account = CAST(:id AS text)"
    assert row(app, query, id=person.operator_id)["n"] == 0


def test_the_panel_is_as_one_likes_it(app: Flask) -> None:
    person = an_operator(app)
    came = begun(person)
    with app.app_context():
        own_settings.set_preferences(
            person.now(came), timezone="Asia/Kolkata", theme=Theme.DARK, numbers=Numbers.DE_DE
        )
    now = person.now(came)
    assert (now.timezone, now.theme, now.numbers) == ("Asia/Kolkata", Theme.DARK, Numbers.DE_DE)
