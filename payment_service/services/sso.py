"""Single sign-on: what follows once the issuer has said who it is that logs in or steps up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from payment_service.domain.acts import Act
from payment_service.domain.operators import (
    Ended,
    How,
    NotAdmitted,
    Role,
    is_email,
    operator_name,
)
from payment_service.extensions import db
from payment_service.identity.random_tokens import token_hash
from payment_service.models import Operator, UsedState
from payment_service.services import audit_log, sessions
from payment_service.services.sessions import Begun, Current

OPERATOR = Operator.__table__
STATE = UsedState.__table__

WEB = "web"
KEPT = timedelta(days=1)
"""Longer than any cookie that a state must agree with."""
_NO_ROLE = "None of your roles is one of this service's."


def log_in(
    *,
    issuer: str,
    subject: str,
    email: str | None,
    name: str,
    role: Role | None,
    state: str,
    address: str,
    agent: str,
    auth_time: datetime | None = None,
) -> Begun:
    """Finds or makes the operator of this issuer and subject, takes the role anew (a change ends
    his other sessions), and begins a session. `email` and `name` are only shown. `state` is good
    once. The session is stepped up as of `auth_time`, and not at all without one.

    Raises NotAdmitted, which is written down: the state was used, there is no role (None; his
    sessions end), or the operator is disabled. Commits.
    """
    with db.session.begin():
        row = _held(issuer, subject)
        object = operator_name(row.operator_id) if row else None
        ended: list[int] = []
        why = None if _is_new(state) else "This log-in was used before."
        if why is None and role is None:
            why = _NO_ROLE
            if row is not None:
                ended = sessions.end_all(operator_id=row.operator_id, why=Ended.ROLE)
        if why is None and row is not None and not row.active:
            why = "This operator is disabled."
        if why is None and role is not None:
            return _begin(row, issuer, subject, email, name, role, address, agent, auth_time)
        body = {"how": How.SSO, "issuer": issuer, "subject": _told(subject), "ended": ended}
        _write(WEB, Act.LOG_IN_FAILED, object=object, reason=why, body=body, address=address)
    raise NotAdmitted(str(why))


def step_up(
    now: Current,
    *,
    issuer: str,
    subject: str,
    role: Role | None,
    auth_time: datetime,
    state: str,
    address: str,
    agent: str,
) -> Begun:
    """After prompt=login and max_age=0; whoever calls has looked at `auth_time`. A new session with
    a new token takes the place of the one that asks. The role is taken anew, as at a log-in.

    Raises NotAdmitted, which is written down: the state was used, it was somebody else than the
    session's operator, or there is no role (his sessions end); and OutOfReach if the session is
    over by now. Commits.
    """
    with db.session.begin():
        row = _held(issuer, subject)
        told: dict[str, Any] = {"object": now.by.name, "address": address}
        ended: list[int] = []
        if not _is_new(state):
            why = "This log-in was used before."
        elif row is None or row.operator_id != now.operator_id:
            why = "This was another person than the one who is logged in."
        elif role is None:
            why = _NO_ROLE
            ended = sessions.end_all(operator_id=row.operator_id, why=Ended.ROLE)
        else:
            begun = sessions.replace(
                now,
                how=now.how,
                address=address,
                agent=agent,
                proved_at=auth_time,
                and_end=Ended.ROLE if row.role != role else None,
            )
            own = update(OPERATOR).where(OPERATOR.c.operator_id == row.operator_id)
            db.session.execute(own.values(role=role))
            if row.role != role:
                told["body"] = {"role": role, "role_before": row.role}
            _write(now.by.name, Act.STEPPED_UP, session_id=begun.session_id, **told)
            return begun
        body = {"how": How.SSO, "issuer": issuer, "subject": _told(subject), "ended": ended}
        told |= {"reason": why, "body": body, "session_id": now.session_id}
        _write(WEB, Act.STEP_UP_FAILED, **told)
    raise NotAdmitted(why)


def write_refused(*, why: str, issuer: str, subject: str | None, address: str) -> None:
    """Writes down a log-in that was refused before anybody knew who it is: a wrong state, nonce,
    issuer, audience, signature. Commits."""
    with db.session.begin():
        body = {"how": How.SSO, "issuer": issuer}
        body |= {"subject": _told(subject)} if subject else {}
        _write(WEB, Act.LOG_IN_FAILED, reason=why, body=body, address=address)


def _begin(
    row: Row[Any] | None,
    issuer: str,
    subject: str,
    email: str | None,
    name: str,
    role: Role,
    address: str,
    agent: str,
    auth_time: datetime | None,
) -> Begun:
    lower = (email or "").strip().lower()
    shown = {"name": name, "email": lower if is_email(lower) else None}
    made = None
    if row is None:
        values = shown | {"role": role, "issuer": issuer, "subject": subject, "created_by": WEB}
        adding = insert(OPERATOR).values(values).on_conflict_do_nothing()  # who is first makes it
        made = db.session.execute(adding.returning(OPERATOR.c.operator_id)).scalar()
        row = _held(issuer, subject)
        assert row is not None
    own = update(OPERATOR).where(OPERATOR.c.operator_id == row.operator_id)
    db.session.execute(own.values(**shown, role=role))
    body: dict[str, Any] = {"how": How.SSO, "role": role}
    if row.role != role:  # the issuer decides, of the last admin too
        ended = sessions.end_all(operator_id=row.operator_id, why=Ended.ROLE)
        body |= {"role_before": row.role, "ended": ended}
    begun = sessions.begin(
        operator_id=row.operator_id,
        how=How.SSO,
        address=address,
        agent=agent,
        proved_at=auth_time or "never",
    )
    by = operator_name(row.operator_id)
    told: dict[str, Any] = {"object": by, "session_id": begun.session_id, "address": address}
    if made is not None:
        _write(WEB, Act.OPERATOR_ADDED, **told)
    _write(by, Act.LOGGED_IN, body=body, **told)
    return begun


def _told(subject: str) -> str:
    """What the audit log, which stays for ever, has of it: some issuers' are people's e-mails."""
    return audit_log.unknown_name(subject) if "@" in subject else subject


def _held(issuer: str, subject: str) -> Row[Any] | None:
    """The operator's row, held until the transaction ends."""
    query = select(OPERATOR).where(OPERATOR.c.issuer == issuer, OPERATOR.c.subject == subject)
    return db.session.execute(query.with_for_update()).one_or_none()


def _is_new(state: str) -> bool:
    """Uses the state up; the database decides who is first."""
    old = STATE.c.used_at < func.now() - KEPT
    db.session.execute(STATE.delete().where(old))
    adding = insert(STATE).values(state_hash=token_hash(state)).on_conflict_do_nothing()
    return db.session.execute(adding.returning(STATE.c.state_hash)).first() is not None


def _write(actor: str, act: Act, **more: Any) -> None:
    audit_log.write(actor=actor, act=act, **more)
