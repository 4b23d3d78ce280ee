"""Logging in by password and by the code of a second factor, and stepping up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select, update

from payment_service.config import operators as rules
from payment_service.config import settings
from payment_service.domain.acts import Act
from payment_service.domain.operators import Busy, How, OutOfReach, Reach, is_email, operator_name
from payment_service.extensions import db
from payment_service.identity import passwords
from payment_service.models import Operator
from payment_service.services import audit_log, log_in_tries, second_factors, sessions
from payment_service.services.log_in_tries import TooEarly, Try
from payment_service.services.sessions import Begun, Current
from payment_service.telemetry import metrics

OPERATOR = Operator.__table__

WEB = "web"
"""Who sends a name and a password, as far as anybody knows."""


@dataclass(frozen=True)
class NotLoggedIn:
    """Name, password or code are not right, or it is too early. Which of them nobody is told.

    `wait` is in how many seconds a next try is looked at; the same for names that nobody has.
    """

    wait: int = 0


def by_password(*, email: str, password: str, address: str, agent: str) -> Begun | NotLoggedIn:
    """Takes as long for a name that nobody has. Begun.reach says what comes next: ALL, CODE
    (by_code), or SET_UP (second_factors.offer). Commits."""
    row = _of_email(email)
    operator_id = None if row is None else int(row.operator_id)
    taken = log_in_tries.take(operator_id=operator_id, name=email, address=address)
    if isinstance(taken, TooEarly):
        return NotLoggedIn(taken.wait)
    # No connection is held while this takes its time.
    kept = row.password_hash if row is not None and _may_come(row) else None
    try:
        right = passwords.matches(password, kept)
    except Busy:
        return _come_again(taken)
    if row is None or not right:
        with db.session.begin():
            write_failed(taken, "password", operator_id, address)
        return NotLoggedIn(taken.waits)
    begun = _begin(row, taken, address, agent)
    if isinstance(begun, Begun):
        _hash_anew(row, password)
    return begun


def by_code(now: Current, *, code: str, address: str, agent: str) -> Begun | NotLoggedIn:
    """The second step, of a session whose reach is CODE: a code of the second factor, or a recovery
    code. A new session with a new token takes its place. Commits.

    Raises OutOfReach for a session with another reach, or one that is over by now."""
    if now.reach != Reach.CODE:
        raise OutOfReach("No code is asked for here.")
    taken = log_in_tries.take(operator_id=now.operator_id, name="", address=address)
    if isinstance(taken, TooEarly):
        return NotLoggedIn(taken.wait)
    with db.session.begin():
        how = second_factors.use(now.operator_id, code)
        if how is None:
            write_failed(taken, "code", now.operator_id, address, now.session_id)
            return NotLoggedIn(taken.waits)
        begun = sessions.replace(now, how=how, address=address, agent=agent)
        log_in_tries.forgive(taken)
        used = Act.RECOVERY_CODE_USED if how == How.RECOVERY else Act.SECOND_FACTOR_USED
        _write(used, now.operator_id, begun.session_id, address)
    return begun


def step_up(
    now: Current, *, password: str = "", code: str = "", address: str, agent: str
) -> Begun | NotLoggedIn:
    """Shows once more who asks, by a code of the second factor's app or by password. If it was
    right a new session with a new token takes the place of this one, for which sessions.stepped_up
    is true for a while. Raises OutOfReach if the session is over by now. Commits."""
    taken = log_in_tries.take(operator_id=now.operator_id, name="", address=address)
    if isinstance(taken, TooEarly):
        return NotLoggedIn(taken.wait)
    try:
        right = not code and is_password_of(now.operator_id, password)
    except Busy:
        return _come_again(taken)
    with db.session.begin():
        if code:
            right = second_factors.use(now.operator_id, code, recovery=False) is not None
        if not right:
            _write(Act.STEP_UP_FAILED, now.operator_id, now.session_id, address)
            return NotLoggedIn(taken.waits)
        begun = sessions.replace(now, how=now.how, address=address, agent=agent)
        log_in_tries.forget(taken)
        _write(Act.STEPPED_UP, now.operator_id, begun.session_id, address)
    return begun


def is_password_of(operator_id: int, password: str) -> bool:
    """Whether it is the operator's password now. Raises Busy. The caller counts the try."""
    query = select(OPERATOR.c.password_hash).where(OPERATOR.c.operator_id == operator_id)
    with db.engine.connect() as connection:
        kept = connection.scalar(query)
    return passwords.matches(password, kept)


def _come_again(taken: Try) -> NotLoggedIn:
    with db.session.begin():
        log_in_tries.forget(taken)
    return NotLoggedIn(passwords.BUSY_SECONDS)


def _of_email(email: str) -> Row[Any] | None:
    """Who comes by this e-mail. One that can't be an e-mail is asked for as one that nobody has."""
    wanted = email.strip().lower()
    query = select(OPERATOR.c.operator_id, OPERATOR.c.password_hash, OPERATOR.c.active).where(
        OPERATOR.c.email == (wanted if is_email(wanted) else ""), OPERATOR.c.issuer.is_(None)
    )
    with db.engine.connect() as connection:
        return connection.execute(query).one_or_none()


def _may_come(row: Row[Any]) -> bool:
    return bool(row.active) and rules.password_lets_in(settings())


def _begin(row: Row[Any], taken: Try, address: str, agent: str) -> Begun | NotLoggedIn:
    """The password was right. Whoever changed it or disabled the operator meanwhile was first."""
    with db.session.begin():
        held = sessions.hold(row.operator_id)
        if not held.active or held.password_hash != row.password_hash:
            write_failed(taken, "password", row.operator_id, address)
            return NotLoggedIn(taken.waits)
        begun = sessions.begin(
            operator_id=row.operator_id, how=How.PASSWORD, address=address, agent=agent
        )
        if begun.reach == Reach.CODE:
            log_in_tries.forget(taken)  # what was wrong before counts until the code is right too
        else:
            log_in_tries.forgive(taken)
        body = {"how": How.PASSWORD, "reach": begun.reach}
        _write(Act.LOGGED_IN, row.operator_id, begun.session_id, address, body)
    return begun


def _hash_anew(row: Row[Any], password: str) -> None:
    """Puts the password under the parameters of today, if it was hashed with others."""
    if not passwords.is_old(row.password_hash):
        return
    try:
        new = passwords.hashed(password)
    except Busy:
        return  # the next log-in does it
    same = (OPERATOR.c.operator_id == row.operator_id) & (
        OPERATOR.c.password_hash == row.password_hash
    )
    with db.session.begin():
        db.session.execute(update(OPERATOR).where(same).values(password_hash=new))


def _write(
    act: Act,
    operator_id: int,
    session_id: int,
    address: str,
    body: Mapping[str, Any] | None = None,
) -> None:
    name = operator_name(operator_id)
    audit_log.write(
        actor=name, act=act, object=name, body=body, session_id=session_id, address=address
    )


def write_failed(
    taken: Try,
    what: str,
    operator_id: int | None,
    address: str,
    session_id: int | None = None,
) -> None:
    metrics.LOG_INS_REFUSED.labels(what).inc()
    audit_log.write(
        actor=WEB,
        act=Act.LOG_IN_FAILED,
        object=taken.account if operator_id is None else operator_name(operator_id),
        body={"what": what, "waits": taken.waits},
        session_id=session_id,
        address=address,
    )
