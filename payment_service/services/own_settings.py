"""What an operator changes about himself: password, time zone, theme, how amounts are written."""

from __future__ import annotations

from zoneinfo import available_timezones

from sqlalchemy import update

from payment_service.domain.acts import Act
from payment_service.domain.operators import (
    BadText,
    Busy,
    Ended,
    Numbers,
    OutOfReach,
    Reach,
    Theme,
    WrongPassword,
)
from payment_service.extensions import db
from payment_service.identity import passwords
from payment_service.models import Operator
from payment_service.services import audit_log, log_in_tries, log_ins, sessions
from payment_service.services.log_in_tries import TooEarly
from payment_service.services.sessions import Begun, Current

OPERATOR = Operator.__table__


def change_password(now: Current, *, old: str, new: str, address: str, agent: str) -> Begun:
    """All sessions of the operator end, and a new one with a new token takes the place of the one
    that asks. Raises WrongPassword, which counts as a failed log-in, WeakPassword, OutOfReach, and
    Busy. Commits."""
    _expect_all(now)
    passwords.refuse_weak(new, (now.email or "", now.name))
    taken = log_in_tries.take(operator_id=now.operator_id, name="", address=address)
    if isinstance(taken, TooEarly):
        raise WrongPassword(f"There were too many wrong ones; wait {taken.wait} seconds.")
    try:
        right = log_ins.is_password_of(now.operator_id, old)
    except Busy:
        with db.session.begin():
            log_in_tries.forget(taken)  # it was not looked at
        raise
    if not right:
        with db.session.begin():
            log_ins.write_failed(taken, "password", now.operator_id, address, now.session_id)
        raise WrongPassword("This is not your password.")
    kept = passwords.hashed(new)
    with db.session.begin():
        begun = sessions.replace(
            now, how=now.how, address=address, agent=agent, and_end=Ended.PASSWORD
        )
        own = update(OPERATOR).where(OPERATOR.c.operator_id == now.operator_id)
        db.session.execute(own.values(password_hash=kept))
        log_in_tries.forget(taken)
        audit_log.write(
            actor=now.by.name,
            act=Act.PASSWORD_CHANGED,
            object=now.by.name,
            session_id=begun.session_id,
            address=address,
        )
    return begun


def set_preferences(now: Current, *, timezone: str, theme: Theme, numbers: Numbers) -> None:
    """How the operator likes the panel. Raises BadText for a time zone that is none. Commits."""
    _expect_all(now)
    if timezone not in available_timezones():
        raise BadText("This is no time zone, such as Asia/Kolkata.")
    with db.session.begin():
        own = update(OPERATOR).where(OPERATOR.c.operator_id == now.operator_id)
        db.session.execute(own.values(timezone=timezone, theme=theme, numbers=numbers))


def _expect_all(now: Current) -> None:
    if now.reach != Reach.ALL:
        raise OutOfReach("The second factor comes first.")
