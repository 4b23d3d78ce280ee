"""The second factor: each code once, whoever is how quick; recovery codes; setting one up."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyotp
import pytest
from flask import Flask

from payment_service.domain.callers import Caller
from payment_service.domain.operators import How, OutOfReach, Reach, Role, WrongCode
from payment_service.extensions import db
from payment_service.identity import second_factor
from payment_service.models.keyring import NoKey
from payment_service.services import keys, log_ins, operators, second_factors
from payment_service.services.log_ins import NotLoggedIn
from payment_service.services.second_factors import SetUp
from payment_service.services.sessions import Begun, Current
from tests.fixtures import MakeApp
from tests.operators import (
    AGENT,
    CLI,
    KEYS,
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

STEP = second_factor.STEP_SECONDS


def use(app: Flask, person: Person, code: str, **more: Any) -> How | None:
    with app.app_context(), db.session.begin():
        return second_factors.use(person.operator_id, code, **more)


def set_up(person: Person, now: Current, code: str | None = None) -> SetUp:
    with person.app.app_context():
        offered = second_factors.offer(now)
        shown = code or pyotp.TOTP(offered.secret).now()
        done = second_factors.confirm(now, code=shown, address=person.address, agent=AGENT)
    person.secret = offered.secret
    return done


def of_eight(act: Any) -> list[Any]:
    """What eight threads got that did it at once."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(act, range(8)))


# -- codes


def test_a_code_works_once(app: Flask) -> None:
    person = an_operator(app, second=True)
    code = person.code()
    assert use(app, person, code) is How.CODE
    assert use(app, person, code) is None


def test_of_eight_with_one_code_one_gets_in(app: Flask) -> None:
    person = an_operator(app, second=True)
    code = person.code()
    assert sorted(map(str, of_eight(lambda _: use(app, person, code)))) == ["None"] * 7 + ["code"]


def test_of_eight_log_ins_with_one_code_one_gets_in(app: Flask) -> None:
    """Through the front door, each from an address of its own, so that none has to wait."""
    person = an_operator(app, second=True)
    halves = [person.now(begun(person, How.PASSWORD)) for _ in range(8)]
    code = person.code()

    def send(turn: int) -> Begun | NotLoggedIn:
        with app.app_context():
            return log_ins.by_code(halves[turn], code=code, address=an_address(), agent=AGENT)

    came = of_eight(send)
    assert sum(isinstance(one, Begun) for one in came) == 1
    assert acts(app, person).count("second_factor_used") == 1
    assert acts(app, person).count("log_in_failed") == 7


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_clock_may_be_half_a_minute_off(off: int) -> None:
    secret, now = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", 1_767_225_600
    code = pyotp.TOTP(secret).at(now + off * STEP)
    assert second_factor.step_of(secret, code, at=now) == now // STEP + off
    assert second_factor.step_of(secret, f" {code[:3]} {code[3:]}", at=now) is not None


@pytest.mark.parametrize("off", [-2, 2])
def test_a_clock_may_not_be_further_off(off: int) -> None:
    secret, now = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", 1_767_225_600
    code = pyotp.TOTP(secret).at(now + off * STEP)
    assert second_factor.step_of(secret, code, at=now) is None


def test_a_code_before_one_that_was_used_is_over(app: Flask) -> None:
    person = an_operator(app, second=True)
    assert use(app, person, person.code(1)) is How.CODE
    assert use(app, person, person.code()) is None


@pytest.mark.parametrize(
    "code", ["", "12345", "abcdef", "\x00", "\ud800", "\uff11" * 6, "1" * 9999]
)
def test_what_is_no_code_is_wrong(app: Flask, code: str) -> None:
    assert use(app, an_operator(app, second=True), code) is None


def test_who_has_no_second_factor_has_no_code(app: Flask) -> None:
    assert use(app, an_operator(app), "000000") is None


# -- recovery codes


def test_recovery_codes_are_long_and_differ() -> None:
    codes = second_factor.new_recovery_codes()
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"([A-Z2-7]{4}-){5}[A-Z2-7]{4}", code) for code in codes)


def test_a_recovery_code_works_once_however_it_is_typed(app: Flask) -> None:
    person = an_operator(app)
    codes = set_up(person, a_session(person)).recovery_codes
    assert use(app, person, codes[0].lower().replace("-", " "), recovery=False) is None
    assert use(app, person, codes[0].lower().replace("-", " ")) is How.RECOVERY
    assert use(app, person, codes[0]) is None
    assert len(person.row["recovery_hashes"]) == 9


def test_of_eight_with_one_recovery_code_one_gets_in(app: Flask) -> None:
    person = an_operator(app)
    codes = set_up(person, a_session(person)).recovery_codes
    came = of_eight(lambda _: use(app, person, codes[3]))
    assert sorted(map(str, came)) == ["None"] * 7 + ["recovery"]
    assert len(person.row["recovery_hashes"]) == 9


def test_eight_recovery_codes_at_once_are_all_used_up(app: Flask) -> None:
    person = an_operator(app)
    codes = set_up(person, a_session(person)).recovery_codes
    assert of_eight(lambda turn: use(app, person, codes[turn])) == [How.RECOVERY] * 8
    assert len(person.row["recovery_hashes"]) == 2


def test_a_recovery_code_logs_in(app: Flask) -> None:
    person = an_operator(app)
    codes = set_up(person, a_session(person)).recovery_codes
    whole = person.send_code(begun(person, How.PASSWORD), codes[9])
    assert isinstance(whole, Begun)
    assert person.now(whole).how is How.RECOVERY
    assert acts(app, person)[-1] == "recovery_code_used"


# -- setting one up


def test_setting_one_up(make_app: MakeApp, database_of_module: str) -> None:
    """The whole way of who needs one and has none."""
    app = make_app(**KEYS, operator_mfa="required", database_url=database_of_module)
    person = an_operator(app)
    before, other = begun(person, How.PASSWORD), begun(person, How.PASSWORD)
    now = person.now(before)
    assert now.reach is Reach.SET_UP
    done = set_up(person, now)
    assert done.begun.reach is Reach.ALL
    assert person.now(done.begun).has_second_factor
    assert current(app, before.token) is current(app, other.token) is None
    last = acts_of(app, person)[-1]
    assert (last["act"], last["session_id"]) == ("second_factor_set", done.begun.session_id)
    assert begun(person, How.PASSWORD).reach is Reach.CODE


def test_nothing_of_it_can_be_read_in_the_database(app: Flask) -> None:
    person = an_operator(app)
    done = set_up(person, a_session(person))
    told = repr([done, person.row])
    assert person.secret not in told
    assert not any(code in told for code in done.recovery_codes)
    written = acts_of(app, person)
    assert not any(secret in repr(written) for secret in [person.secret, *done.recovery_codes])


def test_the_code_that_confirmed_it_is_used(app: Flask) -> None:
    person = an_operator(app)
    with app.app_context():
        offered = second_factors.offer(now := a_session(person))
        code = pyotp.TOTP(offered.secret).at(int(time.time()) + STEP)
        second_factors.confirm(now, code=code, address=person.address, agent=AGENT)
    assert use(app, person, code) is None


def test_a_wrong_code_confirms_nothing(app: Flask) -> None:
    person = an_operator(app)
    now = a_session(person)
    with app.app_context():
        offered = second_factors.offer(now)
    with pytest.raises(WrongCode):
        set_up(person, now, code=a_wrong_code(offered.secret))
    assert not current_has_one(person)
    set_up(person, now)
    assert current_has_one(person)


def current_has_one(person: Person) -> bool:
    return person.row["totp_secret"] is not None


def test_what_is_offered_stays_for_a_session_and_is_no_other_s(app: Flask) -> None:
    person = an_operator(app)
    one, other = a_session(person), a_session(person)
    with app.app_context():
        first = second_factors.offer(one)
        assert second_factors.offer(one).secret == first.secret
        second = second_factors.offer(other)
        assert second.secret != first.secret
        with pytest.raises(WrongCode):
            code = pyotp.TOTP(first.secret).now()
            second_factors.confirm(one, code=code, address=person.address, agent=AGENT)


def test_of_eight_that_confirm_one_does(app: Flask) -> None:
    person = an_operator(app)
    now = a_session(person)
    with app.app_context():
        secret = second_factors.offer(now).secret

    def confirm(_: int) -> list[str] | None:
        with app.app_context():
            try:
                code = pyotp.TOTP(secret).now()
                done = second_factors.confirm(now, code=code, address=person.address, agent=AGENT)
            except (WrongCode, OutOfReach):
                return None
            return done.recovery_codes

    (codes,) = [one for one in of_eight(confirm) if one is not None]
    assert use(app, person, codes[0]) is How.RECOVERY


@pytest.mark.parametrize("second", [True, False])
def test_one_is_set_up_after_stepping_up_only(app: Flask, second: bool) -> None:
    """The first one too: whoever copied a cookie would keep the person out by it."""
    person = an_operator(app, second=second)
    came = begun(person)
    minutes_later(app, person, 11)
    now = person.now(came)
    with app.app_context():
        with pytest.raises(OutOfReach):
            second_factors.offer(now)
        with pytest.raises(OutOfReach):
            second_factors.confirm(now, code="000000", address="", agent="")
    stepped = a_session(person)
    set_up(person, stepped)


def test_half_a_log_in_sets_nothing_up(app: Flask) -> None:
    """Or the password alone would do: whoever has it would set up a second factor of his own."""
    person = an_operator(app, second=True)
    half = person.now(begun(person, How.PASSWORD))
    with app.app_context(), pytest.raises(OutOfReach):
        second_factors.offer(half)


def test_who_lost_it_begins_anew(app: Flask) -> None:
    person = an_operator(app, Role.VIEWER, second=True)
    with app.app_context():
        operators.reset_second_factor(who=person.email, by=CLI)
    assert use(app, person, person.code()) is None
    assert begun(person, How.PASSWORD).reach is Reach.ALL


def test_without_keys_none_is_set_up(make_app: MakeApp) -> None:
    app = make_app(encryption_keys=None)
    person = an_operator(app)
    with app.app_context(), pytest.raises(NoKey):
        second_factors.offer(a_session(person))


def test_the_qr_code_needs_no_style_and_no_script(app: Flask) -> None:
    person = an_operator(app)
    with app.app_context():
        offered = second_factors.offer(a_session(person))
    assert offered.svg.startswith("<svg")
    assert "viewBox" in offered.svg
    assert not re.search(r"style=|<style|<script|href", offered.svg)
    assert offered.secret not in repr(offered)


def test_a_secret_goes_under_new_keys(make_app: MakeApp, fresh_database: str) -> None:
    old = KEYS["encryption_keys"]
    new = "k2:" + "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY="
    before = make_app(**KEYS, database_url=fresh_database)
    person = an_operator(before, second=True)
    with before.app_context():
        second_factors.offer(a_session(person))
    app = make_app(encryption_keys=f"{new},{old}", database_url=fresh_database)
    with app.app_context():
        assert keys.rotate(caller=Caller("cli:one"), progress=False) == keys.Rotated(2, 0)
    app = make_app(encryption_keys=new, database_url=fresh_database)
    assert use(app, person, person.code()) is How.CODE
