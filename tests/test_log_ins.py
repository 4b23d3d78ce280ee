"""Logging in by password and code: one result for all that is refused, and the waits."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import event

from payment_service.domain.operators import OutOfReach, Reach, Role
from payment_service.extensions import db
from payment_service.identity import passwords
from payment_service.services import log_ins, operators, sessions
from payment_service.services.log_ins import NotLoggedIn
from payment_service.services.sessions import Begun
from tests.books import execute, row, rows
from tests.fixtures import MakeApp, a_key
from tests.operators import (
    AGENT,
    CLI,
    KEYS,
    PASSWORD,
    Person,
    a_session,
    a_wrong_code,
    acts,
    acts_of,
    an_address,
    an_operator,
    begun,
    current,
    minutes_later,
)
from tests.operators import (
    app as app,
)

WRONG = "nine lamps above the meadow!"


@pytest.fixture(scope="module")
def strict_app(make_app: MakeApp, database_of_module: str) -> Flask:
    """Where a second factor is needed."""
    return make_app(**KEYS, operator_mfa="required", database_url=database_of_module)


@pytest.fixture(scope="module", autouse=True)
def quick_hashes() -> Any:
    """Many log-ins, each with little work for its password; what a password costs is the business
    of other tests."""
    patch = pytest.MonkeyPatch()
    patch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    patch.setattr("tests.operators.HASH", passwords.hashed(PASSWORD))
    yield
    patch.undo()


def wrong(person: Person, times: int, **where: Any) -> list[NotLoggedIn]:
    found = [person.log_in(WRONG, **where) for _ in range(times)]
    assert all(isinstance(one, NotLoggedIn) for one in found)
    return found  # type: ignore[return-value]


def test_the_right_password_begins_a_session(app: Flask) -> None:
    person = an_operator(app)
    came = person.logged_in()
    assert came.reach is Reach.ALL
    now = person.now(came)
    assert (now.operator_id, now.email, now.role) == (person.operator_id, person.email, "operator")
    assert now.has_password
    assert not now.has_second_factor
    assert person.row["last_login_at"] is not None
    last = acts_of(app, person)[-1]
    assert (last["act"], last["actor"]) == ("logged_in", f"operator:{person.operator_id}")
    assert (last["session_id"], last["address"]) == (came.session_id, person.address)


def test_an_email_is_known_in_any_case(app: Flask) -> None:
    person = an_operator(app)
    assert isinstance(person.log_in(email=f" {person.email.upper()} "), Begun)


@pytest.mark.parametrize("email", ["", "nobody", "no\x00body@example.com", "a@b" * 200, "ä@b", "'"])
def test_what_can_t_be_an_email_is_nobody_s(app: Flask, email: str) -> None:
    with app.app_context():
        came = log_ins.by_password(
            email=email, password=PASSWORD, address=an_address(), agent=AGENT
        )
    assert came == NotLoggedIn()


@pytest.mark.parametrize("password", ["", "\x00", "\ud800", "x" * 65536])
def test_any_text_may_come_as_a_password(app: Flask, password: str) -> None:
    assert an_operator(app).log_in(password) == NotLoggedIn()


def test_all_refusals_are_the_same(app: Flask) -> None:
    """Somebody who does not know an account learns nothing of it."""
    disabled = an_operator(app)
    with app.app_context():
        operators.disable(who=disabled.email, by=CLI)
        number = operators.add(
            email=f"{a_key()}@example.com", role=Role.VIEWER, by=CLI, issuer="i", subject=a_key()
        )
    by_sso = Person(app, number, row_of(app, number)["email"], address=an_address())
    nobody = Person(app, 0, f"{a_key()}@example.com", address=an_address())
    others = [disabled, by_sso, nobody, an_operator(app, joined=False)]
    assert {person.log_in() for person in others} == {NotLoggedIn()}
    assert an_operator(app).log_in(WRONG) == NotLoggedIn()


def row_of(app: Flask, operator_id: int) -> dict[str, Any]:
    return row(app, "SELECT * FROM operators WHERE operator_id = :id", id=operator_id)


def test_no_password_is_taken_where_operators_come_by_single_sign_on(make_app: MakeApp) -> None:
    app = make_app(operator_login="sso")
    assert an_operator(app).log_in() == NotLoggedIn()


def test_what_was_typed_is_written_down_nowhere(app: Flask) -> None:
    """People type their password where the name belongs."""
    typed = f"hidden-{a_key()}"
    address = an_address()
    with app.app_context():
        for _ in range(6):
            log_ins.by_password(email=typed, password=typed, address=address, agent=AGENT)
    written = rows(app, "SELECT * FROM audit_log WHERE address = :at", at=address)
    assert [one["act"] for one in written] == ["log_in_failed"] * 5 + ["log_in_delayed"]
    tries = rows(app, "SELECT * FROM log_in_tries WHERE network = :at", at=address)
    assert len(tries) == 5
    assert typed not in repr([written, tries])
    assert {one["object"] for one in written} == {one["account"] for one in tries}


# -- the waits


def test_five_are_free_and_each_next_one_waits_twice_as_long(app: Flask) -> None:
    person = an_operator(app)
    assert [one.wait for one in wrong(person, 5)] == [0, 0, 0, 0, 30]
    waits = []
    for _ in range(7):
        refused = person.log_in()  # the right one, too early
        assert isinstance(refused, NotLoggedIn)
        minutes_later(app, person, (refused.wait - 25) / 60)
        assert isinstance(person.log_in(), NotLoggedIn)
        minutes_later(app, person, 26 / 60)
        waits.append(wrong(person, 1)[0].wait)
    assert waits == [60, 120, 240, 480, 900, 900, 900]
    minutes_later(app, person, 15.1)
    assert isinstance(person.log_in(), Begun)


def test_a_name_that_nobody_has_is_one_name_however_it_is_typed(app: Flask) -> None:
    """As that of an operator is: else five tries in two spellings would tell which names there
    are."""
    person = an_operator(app)
    for email in (person.email, f"{a_key()}@example.com"):
        address = an_address()
        spelled = [email, email.upper(), f" {email}", f"{email.title()} ", email]
        tries = [person.log_in(WRONG, email=one, address=address) for one in spelled]
        assert [one.wait for one in tries if isinstance(one, NotLoggedIn)] == [0, 0, 0, 0, 30]


def test_a_wait_is_written_down_once(app: Flask) -> None:
    person = an_operator(app)
    wrong(person, 12)
    assert acts(app, person)[1:] == ["log_in_failed"] * 5 + ["log_in_delayed"]


def test_a_quiet_half_hour_forgets(app: Flask) -> None:
    """Until then who was wrong five times goes on from there."""
    person = an_operator(app)
    wrong(person, 5)
    minutes_later(app, person, 15)
    assert wrong(person, 1)[0].wait == 60
    minutes_later(app, person, 16.1)
    assert [one.wait for one in wrong(person, 5)] == [0, 0, 0, 0, 30]


def test_another_address_and_another_account_do_not_wait(app: Flask) -> None:
    person, other = an_operator(app), an_operator(app)
    wrong(person, 6)
    assert isinstance(person.log_in(address=an_address()), Begun)
    other.address = person.address
    assert isinstance(other.log_in(), Begun)


def test_who_comes_in_starts_anew(app: Flask) -> None:
    person = an_operator(app)
    wrong(person, 4)
    person.logged_in()
    assert [one.wait for one in wrong(person, 4)] == [0, 0, 0, 0]
    assert isinstance(person.log_in(), Begun)


def test_a_right_password_forgives_no_wrong_code(app: Flask) -> None:
    """Or who has the password could try all codes, four at a time."""
    person = an_operator(app, second=True)
    half = person.logged_in()
    code = a_wrong_code(person.secret)
    for _ in range(4):
        assert person.send_code(half, code) == NotLoggedIn()
    half = person.logged_in()
    assert person.send_code(half, code) == NotLoggedIn(30)
    assert isinstance(person.log_in(), NotLoggedIn)


def test_thirty_from_one_address_are_enough(app: Flask) -> None:
    address = an_address()
    for _ in range(30):
        stranger = Person(app, 0, f"{a_key()}@example.com", address=address)
        assert stranger.log_in() == NotLoggedIn()
    person = an_operator(app)
    refused = person.log_in(address=address)
    assert isinstance(refused, NotLoggedIn)
    assert 800 < refused.wait <= 900
    assert isinstance(person.log_in(), Begun)
    execute(
        app,
        "UPDATE log_in_tries SET at = at - interval '15 minutes' WHERE network = :at",
        at=address,
    )
    assert isinstance(person.log_in(address=address), Begun)


def test_a_hundred_wrong_ones_leave_the_addresses_that_are_known(app: Flask) -> None:
    person, half_known = an_operator(app, second=True), an_address()
    known = person.address
    begun(person)
    person.log_in(address=half_known)  # the password alone makes no address known
    for _ in range(25):
        wrong(person, 4, address=an_address())
    assert 3500 < wrong(person, 1, address=an_address())[0].wait <= 3600
    assert isinstance(person.log_in(address=half_known), NotLoggedIn)
    assert isinstance(person.log_in(address=known), Begun)
    execute(
        app,
        "UPDATE log_in_tries SET at = at - interval '1 hour' WHERE account = :id",
        id=str(person.operator_id),
    )
    assert isinstance(person.log_in(address=half_known), Begun)


def test_of_many_at_once_no_more_are_looked_at(app: Flask) -> None:
    person = an_operator(app)
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: person.log_in(WRONG), range(12)))
    assert acts(app, person).count("log_in_failed") == 5


def test_old_tries_go(app: Flask) -> None:
    person = an_operator(app)
    wrong(person, 1)
    minutes_later(app, person, 61)
    an_operator(app).log_in(WRONG)
    query = "SELECT count(*) AS n FROM log_in_tries WHERE account = :id"
    assert row(app, query, id=str(person.operator_id))["n"] == 0


# -- passwords


def statements(app: Flask, person: Person) -> list[str]:
    """What a refused log-in asks of the database, and of the hash."""
    seen: list[str] = []

    def watch(_: Any, __: Any, statement: str, *args: Any) -> None:
        seen.append(statement)

    class Counted(PasswordHasher):
        def verify(self, hash: Any, password: Any) -> Any:
            cost = hash.split("$")[1:4]
            seen.append(f"verify {cost} {[len(part) for part in hash.split('$')[4:]]}")
            return super().verify(hash, password)

    patch = pytest.MonkeyPatch()
    hasher = passwords.HASHER
    patch.setattr(
        passwords, "HASHER", Counted(hasher.time_cost, hasher.memory_cost, hasher.parallelism)
    )
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", watch)
    try:
        assert person.log_in(WRONG) == NotLoggedIn()
    finally:
        patch.undo()
        with app.app_context():
            event.remove(db.engine, "before_cursor_execute", watch)
    return seen


def test_a_name_that_nobody_has_makes_the_same_work(app: Flask) -> None:
    nobody = Person(app, 0, f"{a_key()}@example.com", address=an_address())
    known = statements(app, an_operator(app))
    assert sum(one.startswith("verify") for one in known) == 1
    assert statements(app, nobody) == known
    assert statements(app, an_operator(app, joined=False)) == known


def test_an_old_hash_is_renewed(app: Flask) -> None:
    person = an_operator(app)
    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    execute(
        app,
        "UPDATE operators SET password_hash = :old WHERE operator_id = :id",
        old=old,
        id=person.operator_id,
    )
    person.logged_in()
    kept = person.row["password_hash"]
    assert kept != old
    assert not passwords.is_old(kept)
    person.logged_in()
    assert person.row["password_hash"] == kept


def test_a_password_that_changes_meanwhile_opens_nothing(app: Flask) -> None:
    """It was looked at before, and is not the operator's any more."""
    person = an_operator(app)

    class Slow(PasswordHasher):
        def verify(self, hash: Any, password: Any) -> Any:
            right = super().verify(hash, password)
            execute(
                app,
                "UPDATE operators SET password_hash = 'another' WHERE operator_id = :id",
                id=person.operator_id,
            )
            return right

    patch = pytest.MonkeyPatch()
    patch.setattr(passwords, "HASHER", Slow(time_cost=1, memory_cost=8, parallelism=1))
    try:
        assert person.log_in() == NotLoggedIn()
    finally:
        patch.undo()


def test_no_connection_is_held_while_a_password_is_looked_at(app: Flask) -> None:
    person = an_operator(app)
    held = []
    with app.app_context():
        pool: Any = db.engine.pool

    class Watching(PasswordHasher):
        def verify(self, hash: Any, password: Any) -> Any:
            held.append(pool.checkedout())
            return super().verify(hash, password)

    patch = pytest.MonkeyPatch()
    patch.setattr(passwords, "HASHER", Watching(time_cost=1, memory_cost=8, parallelism=1))
    try:
        person.logged_in()
    finally:
        patch.undo()
    assert held == [0]


# -- the second step


def test_with_a_second_factor_the_code_comes_next(app: Flask) -> None:
    person = an_operator(app, second=True)
    half = person.logged_in()
    assert half.reach is Reach.CODE
    assert person.now(half).reach is Reach.CODE
    whole = person.send_code(half, person.code())
    assert isinstance(whole, Begun)
    assert whole.reach is Reach.ALL
    assert whole.token != half.token
    assert current(app, half.token) is None
    assert person.now(whole).reach is Reach.ALL
    assert acts(app, person)[1:] == ["logged_in", "second_factor_used"]


def test_a_code_is_asked_for_once(app: Flask) -> None:
    person = an_operator(app)
    now = a_session(person)
    with app.app_context(), pytest.raises(OutOfReach):
        log_ins.by_code(now, code="000000", address=person.address, agent=AGENT)


def test_half_a_log_in_lives_a_quarter_of_an_hour(app: Flask, strict_app: Flask) -> None:
    for half in (an_operator(app, second=True), an_operator(strict_app)):
        came = half.logged_in()
        minutes_later(app, half, 14)
        assert half.now(came).reach is not Reach.ALL
        minutes_later(app, half, 2)
        assert current(half.app, came.token) is None


def test_a_code_of_a_session_that_is_over_opens_nothing_and_stays_good(app: Flask) -> None:
    person = an_operator(app, second=True)
    half = person.logged_in()
    now = person.now(half)
    with app.app_context():
        sessions.log_out(now)
        with pytest.raises(OutOfReach):
            log_ins.by_code(now, code=person.code(), address=person.address, agent=AGENT)
    assert isinstance(person.send_code(person.logged_in(), person.code()), Begun)


def test_who_needs_a_second_factor_and_has_none_reaches_its_set_up(strict_app: Flask) -> None:
    reach = {role: an_operator(strict_app, role).logged_in().reach for role in Role}
    needed = dict.fromkeys(Role, Reach.SET_UP)
    assert reach == needed | {Role.VIEWER: Reach.ALL}


@pytest.mark.parametrize(
    ("env", "mfa", "reach"),
    [
        ("production", None, Reach.SET_UP),
        ("production", "optional", Reach.ALL),
        ("development", None, Reach.ALL),
        ("development", "required", Reach.SET_UP),
    ],
)
def test_production_needs_one(app: Flask, env: str, mfa: str | None, reach: Reach) -> None:
    person = an_operator(app)
    settings = app.extensions["settings"]
    try:
        app.extensions["settings"] = dataclasses.replace(settings, app_env=env, operator_mfa=mfa)
        assert person.logged_in().reach is reach
    finally:
        app.extensions["settings"] = settings


# -- stepping up


def step_up(person: Person, now: sessions.Current, **shown: str) -> Begun | NotLoggedIn:
    with person.app.app_context():
        return log_ins.step_up(now, address=person.address, agent=AGENT, **shown)


def is_stepped_up(person: Person, now: sessions.Current) -> bool:
    with person.app.app_context():
        return sessions.stepped_up(now)


@pytest.mark.parametrize("by", ["password", "code"])
def test_stepping_up_lasts_ten_minutes(app: Flask, by: str) -> None:
    person = an_operator(app, second=True)
    now = a_session(person)
    assert is_stepped_up(person, now)  # by the log-in itself
    minutes_later(app, person, 10.1)
    assert not is_stepped_up(person, now)
    assert step_up(person, now, **{by: "wrong"}) == NotLoggedIn()
    assert not is_stepped_up(person, now)
    shown = PASSWORD if by == "password" else person.code()
    stepped = step_up(person, now, **{by: shown})
    assert isinstance(stepped, Begun)
    assert not is_stepped_up(person, now)  # which is over: who is surer gets a new id
    now = person.now(stepped)
    assert is_stepped_up(person, now)
    assert acts(app, person)[1:] == ["step_up_failed", "stepped_up"]
    minutes_later(app, person, 10.1)
    assert not is_stepped_up(person, now)


def test_a_code_that_was_used_steps_nobody_up(app: Flask) -> None:
    person = an_operator(app, second=True)
    code = person.code()
    whole = person.send_code(person.logged_in(), code)
    assert isinstance(whole, Begun)
    assert step_up(person, person.now(whole), code=code) == NotLoggedIn()


def test_wrong_passwords_at_a_step_up_wait_too(app: Flask) -> None:
    person = an_operator(app)
    now = a_session(person)
    for wait in (0, 0, 0, 0, 30):
        assert step_up(person, now, password=WRONG) == NotLoggedIn(wait)
    refused = step_up(person, now, password=PASSWORD)
    assert isinstance(refused, NotLoggedIn)
    assert refused.wait > 20


def test_a_session_that_is_over_is_not_stepped_up(app: Flask) -> None:
    person = an_operator(app)
    now = a_session(person)
    with app.app_context():
        sessions.log_out(now)
    with pytest.raises(OutOfReach):
        step_up(person, now, password=PASSWORD)
    assert not is_stepped_up(person, now)


def test_the_audit_of_a_failure_says_what_was_wrong(app: Flask) -> None:
    person = an_operator(app)
    wrong(person, 5)
    last = acts_of(app, person)[-1]
    assert json.loads(last["body"]) == {"what": "password", "waits": 30}
    assert last["actor"] == "web"
    assert last["at"] <= datetime.now(UTC)
