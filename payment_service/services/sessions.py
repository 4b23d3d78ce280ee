"""Sessions of operators: rows, so that what is ended is over at the next request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, and_, func, insert, select, text, update

from payment_service.config import operators as rules
from payment_service.config import settings
from payment_service.domain.acts import Act
from payment_service.domain.operators import (
    By,
    Ended,
    How,
    Numbers,
    OutOfReach,
    Reach,
    Role,
    Theme,
    operator_name,
    reach_of,
)
from payment_service.extensions import db
from payment_service.identity.random_tokens import new_token, token_hash
from payment_service.models import Operator, OperatorSession
from payment_service.services import audit_log

OPERATOR = Operator.__table__
SESSION = OperatorSession.__table__

SEEN_SECONDS = 60
"""At most this often a request of a session writes that it was there; 30 times within the usual
SESSION_IDLE_SECONDS, and a shorter one is kept to as well."""
UNSURE_SECONDS = 900
"""How long a session waits for its second factor: time to find a telephone and put an app on it."""
LONGEST_AGENT = 250
"""Characters of what a browser says it is: enough to know it again in a list."""


@dataclass(frozen=True)
class Begun:
    """A session that was begun. `token` goes into the cookie, and is kept nowhere."""

    session_id: int
    operator_id: int
    reach: Reach
    token: str = field(repr=False)


@dataclass(frozen=True)
class Current:
    """Who asks, as one row says. Only `reach` ALL reaches more than the second factor. `email` is
    None for some who come by single sign-on."""

    session_id: int
    operator_id: int
    email: str | None
    name: str
    role: Role
    timezone: str
    theme: Theme
    numbers: Numbers
    how: How
    reach: Reach
    has_password: bool
    has_second_factor: bool
    created_at: datetime
    stepped_up_at: datetime | None

    @property
    def by(self) -> By:
        """As acts are written down."""
        return By(operator_name(self.operator_id), self.operator_id, self.role, self.session_id)


@dataclass(frozen=True)
class Listed:
    """A session that is not over, and whose it is."""

    session_id: int
    operator_id: int
    email: str | None
    name: str
    how: How
    address: str
    agent: str
    created_at: datetime
    seen_at: datetime


def begin(
    *,
    operator_id: int,
    how: How,
    address: str,
    agent: str,
    proved_at: datetime | Literal["now", "never"] = "now",
) -> Begun:
    """Adds a session to the current transaction; the caller writes the audit row and commits.

    `proved_at` is when the operator last showed who he is, as stepping up asks; `agent` is cut to
    LONGEST_AGENT. Holds the operator's row, so that whoever disables him or lowers his role meets
    this session or is met. Raises OutOfReach if he is disabled.
    """
    row = hold(operator_id)
    if not row.active:
        raise OutOfReach("This operator is disabled.")
    reach = _reach(how, Role(row.role), row.totp_last_step is not None)
    token = new_token()
    proved: dict[Any, Any] = {"now": func.now(), "never": None}
    values = {
        "token_hash": token_hash(token),
        "operator_id": operator_id,
        "how": how,
        "address": address,
        "agent": "".join(letter for letter in agent if letter.isprintable())[:LONGEST_AGENT],
        "stepped_up_at": proved.get(proved_at, func.least(proved_at, func.now())),
    }
    adding = insert(SESSION).values(values).returning(SESSION.c.session_id)
    session_id = db.session.execute(adding).scalar_one()
    if reach != Reach.CODE:
        here = update(OPERATOR).where(OPERATOR.c.operator_id == operator_id)
        db.session.execute(here.values(last_login_at=func.now()))
    return Begun(session_id, operator_id, reach, token)


# A clock for all replicas: the database's. What has moved is found by the hash's index.
_CURRENT = text("""
    SELECT s.session_id, s.how, s.created_at, s.seen_at, s.stepped_up_at, o.operator_id, o.email,
           o.name, o.role, o.timezone, o.theme, o.numbers,
           o.password_hash IS NOT NULL AS has_password,
           o.totp_last_step IS NOT NULL AS has_second_factor, now() AS now
    FROM operator_sessions AS s JOIN operators AS o USING (operator_id)
    WHERE s.token_hash = :token_hash AND s.ended_at IS NULL AND o.active
      AND s.seen_at > now() - make_interval(secs => :idle)
      AND s.created_at > now() - make_interval(secs => :longest)
""")


def current(token: str | None, *, in_use: bool = True) -> Current | None:
    """Who holds the cookie with this value; None if it opens nothing: it is unknown, ended, idle
    or old, or its operator or his way in is disabled. Use is written down once a minute."""
    if not token:
        return None
    idle, longest = settings().session_idle_seconds, settings().session_max_seconds
    values = {"token_hash": token_hash(token), "idle": idle, "longest": longest}
    with db.engine.connect() as connection:
        row = connection.execute(_CURRENT, values).mappings().one_or_none()
    if row is None:
        return None
    found = _current(row)
    if found.how is not How.SSO and not rules.password_lets_in(settings()):
        return None
    if found.reach != Reach.ALL and row["now"] - found.created_at > _seconds(UNSURE_SECONDS):
        return None
    if in_use and row["now"] - row["seen_at"] > min(_seconds(SEEN_SECONDS), _seconds(idle) / 4):
        _seen(found.session_id)
    return found


def stepped_up(who: Current | By) -> bool:
    """Whether the operator showed in this session who he is, within STEP_UP_SECONDS."""
    query = select(SESSION.c.stepped_up_at > func.now() - _seconds(settings().step_up_seconds))
    with db.engine.connect() as connection:
        found = connection.scalar(query.where(_open(who.session_id)))
    return bool(found)


def log_out(now: Current) -> None:
    """Ends the session that asks. Commits."""
    with db.session.begin():
        if _end(_open(now.session_id), Ended.LOG_OUT):
            _write(now.by, Act.LOGGED_OUT)


def end(*, session_id: int, by: By) -> bool:
    """Ends one session: an operator his own, an admin anybody's. False if there is no such one, or
    it is over. Commits."""
    with db.session.begin():
        whose = select(SESSION.c.operator_id).where(SESSION.c.session_id == session_id)
        own = db.session.scalar(whose) == by.operator_id
        if not (own or by.is_admin):
            return False
        if not _end(_open(session_id), Ended.BY_OPERATOR if own else Ended.BY_ADMIN):
            return False
        _write(by, Act.SESSION_ENDED, object=f"session:{session_id}")
    return True


def end_others(now: Current) -> int:
    """Ends all sessions of the operator but the one that asks. How many there were. Commits."""
    with db.session.begin():
        hold(now.operator_id)
        others = SESSION.c.session_id != now.session_id
        ended = _end((SESSION.c.operator_id == now.operator_id) & others, Ended.BY_OPERATOR)
        if ended:
            body = {"sessions": ended}
            _write(now.by, Act.SESSION_ENDED, object=now.by.name, body=body)
    return len(ended)


def end_all(*, operator_id: int, why: Ended) -> list[int]:
    """Ends the operator's sessions in the current transaction. Gives their ids."""
    return _end(SESSION.c.operator_id == operator_id, why)


def hold(operator_id: int) -> Row[Any]:
    """The operator's row, held until the current transaction ends. Always before his sessions', so
    that two never wait for each other."""
    query = select(OPERATOR).where(OPERATOR.c.operator_id == operator_id)
    return db.session.execute(query.with_for_update()).one()


def replace(
    now: Current,
    *,
    how: How,
    address: str,
    agent: str,
    proved_at: datetime | Literal["now"] = "now",
    and_end: Ended | None = None,
) -> Begun:
    """Ends the session that asks and begins another, in the current transaction; with `and_end` the
    operator's other sessions end for that. Raises OutOfReach if it is over already: another request
    was first."""
    hold(now.operator_id)
    if not _end(_open(now.session_id), Ended.REPLACED):
        raise OutOfReach("This session is over.")
    if and_end is not None:
        end_all(operator_id=now.operator_id, why=and_end)
    return begin(
        operator_id=now.operator_id, how=how, address=address, agent=agent, proved_at=proved_at
    )


def list_of(*, operator_id: int) -> list[Listed]:
    """The operator's sessions that are not over, the last used first."""
    return _listed(SESSION.c.operator_id == operator_id)


def list_all() -> list[Listed]:
    """Everybody's, for admins."""
    return _listed(OPERATOR.c.active)


def _listed(which: ColumnElement[bool]) -> list[Listed]:
    idle, longest = settings().session_idle_seconds, settings().session_max_seconds
    wanted = (SESSION.c.get(one.name, OPERATOR.c.get(one.name)) for one in fields(Listed))
    query = (
        select(*wanted)
        .join_from(SESSION, OPERATOR, SESSION.c.operator_id == OPERATOR.c.operator_id)
        .where(which, SESSION.c.ended_at.is_(None))
        .where(SESSION.c.seen_at > func.now() - _seconds(idle))
        .where(SESSION.c.created_at > func.now() - _seconds(longest))
        .order_by(SESSION.c.seen_at.desc(), SESSION.c.session_id.desc())
    )
    with db.engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return [Listed(**{**row, "how": How(row["how"])}) for row in rows]


def _current(row: Mapping[Any, Any]) -> Current:
    values = {name: value for name, value in row.items() if name not in ("now", "seen_at")}
    how, role = How(row["how"]), Role(row["role"])
    reach = _reach(how, role, row["has_second_factor"])
    looks = {"theme": Theme(row["theme"]), "numbers": Numbers(row["numbers"])}
    return Current(**values | looks | {"how": how, "role": role, "reach": reach})


def _reach(how: How, role: Role, has_second_factor: bool) -> Reach:
    required = rules.second_factor_is_required(settings())
    return reach_of(how, role, has_second_factor=has_second_factor, required=required)


def _seen(session_id: int) -> None:
    with db.engine.begin() as connection:
        connection.execute(update(SESSION).where(_open(session_id)).values(seen_at=func.now()))


def _end(which: ColumnElement[bool], why: Ended) -> list[int]:
    ending = update(SESSION).where(which, SESSION.c.ended_at.is_(None))
    values = ending.values(ended_at=func.now(), ended_why=why).returning(SESSION.c.session_id)
    return sorted(db.session.execute(values).scalars())


def _open(session_id: int | None) -> ColumnElement[bool]:
    return and_(SESSION.c.session_id == session_id, SESSION.c.ended_at.is_(None))


def _write(by: By, act: Act, **more: Any) -> None:
    audit_log.write(actor=by.name, act=act, session_id=by.session_id, **more)


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)
