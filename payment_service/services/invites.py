"""Links by which operators come in first, or get a new password. An admin gives a link to somebody;
nobody ever sets a password for another."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, insert, select, update

from payment_service.config import operators as rules
from payment_service.config import settings
from payment_service.domain.acts import Act
from payment_service.domain.operators import (
    BadText,
    By,
    Ended,
    How,
    InviteOver,
    InvitePurpose,
    Refused,
    Role,
    UnknownOperator,
    operator_name,
)
from payment_service.extensions import db
from payment_service.identity import passwords
from payment_service.identity.random_tokens import new_token, token_hash
from payment_service.models import Operator, OperatorInvite
from payment_service.services import audit_log, operators, sessions
from payment_service.services.sessions import Begun

OPERATOR = Operator.__table__
INVITE = OperatorInvite.__table__

GOOD_FOR = timedelta(hours=24)


@dataclass(frozen=True)
class Invite:
    """A link to give to somebody: /admin/invite/{token}, good once, until `expires_at`."""

    email: str
    purpose: InvitePurpose
    expires_at: datetime
    token: str = field(repr=False)


@dataclass(frozen=True)
class Invited:
    """What a link is for. Who joins says a name too; PASSWORD is a new password only."""

    email: str
    name: str
    purpose: InvitePurpose


def make(*, email: str, role: Role | None, by: By, name: str = "") -> Invite:
    """A link for a new operator with this role, or for one who is there a link to a new password
    (role None, or the one he has). Older links of his die.

    Who comes by single sign-on is another, whatever e-mail he shows. Raises BadText,
    UnknownOperator without a role, and Refused if he is disabled or has another role, or if nobody
    comes in by password here. Commits.
    """
    operators.expect_admin(by)
    if not rules.password_lets_in(settings()):
        raise Refused("Operators come in by single sign-on here, and by no link.")
    token = new_token()
    with db.session.begin():
        operators.hold_all()
        there = _who_is_there(email, role)
        if there is None:
            assert role is not None
            operator_id = operators.insert_new(email=email, name=name, role=role, by=by)
            purpose = InvitePurpose.JOIN
        else:
            operator_id = there.operator_id
            purpose = InvitePurpose.JOIN if there.password_hash is None else InvitePurpose.PASSWORD
        operators.end_links(operator_id)
        values = {
            "operator_id": operator_id,
            "token_hash": token_hash(token),
            "purpose": purpose,
            "created_by": by.name,
            "expires_at": func.now() + GOOD_FOR,
        }
        adding = insert(INVITE).values(values).returning(INVITE.c.expires_at)
        expires_at = db.session.execute(adding).scalar_one()
        if there is None:
            operators.write(by, Act.OPERATOR_ADDED, operator_id, {"role": role, "sso": False})
        operators.write(by, Act.INVITE_MADE, operator_id, {"purpose": purpose, "role": role})
    return Invite(operators.clean_email(email), purpose, expires_at, token)


def look(token: str) -> Invited:
    """What this link is for, without using it. Raises InviteOver, also where passwords are no way
    in any more."""
    with db.engine.connect() as connection:
        row = connection.execute(_OPEN_ONE.where(_is_open(token))).one_or_none()
    if row is None or not rules.password_lets_in(settings()):
        raise _over()
    return Invited(row.email, row.name, InvitePurpose(row.purpose))


def accept(*, token: str, name: str, password: str, address: str, agent: str) -> Begun:
    """Uses the link: the operator has this password, and this name unless it is empty, and a
    session as if he had logged in by password. All his other sessions end.

    Raises InviteOver, BadText and WeakPassword, and Busy; only what passes uses the link.
    Commits.
    """
    found = look(token)
    name = operators.clean_name(name) or found.name
    if not name:
        raise BadText("Say your name: it stands beside what you do.")
    passwords.refuse_weak(password, (found.email, name))
    kept = passwords.hashed(password)  # no connection is held meanwhile
    with db.session.begin():
        sessions.hold(_whose(token))  # as whoever makes another link, or disables him
        operator_id = _used(token)
        own = update(OPERATOR).where(OPERATOR.c.operator_id == operator_id, OPERATOR.c.active)
        changed = db.session.execute(own.values(name=name, password_hash=kept))
        if not changed.rowcount:  # type: ignore[attr-defined]
            raise _over()
        ended = sessions.end_all(operator_id=operator_id, why=Ended.PASSWORD)
        begun = sessions.begin(
            operator_id=operator_id, how=How.INVITE, address=address, agent=agent
        )
        by = operator_name(operator_id)
        audit_log.write(
            actor=by,
            act=Act.INVITE_USED,
            object=by,
            body={"purpose": found.purpose, "ended": ended},
            session_id=begun.session_id,
            address=address,
        )
    return begun


_OPEN_ONE = select(INVITE.c.purpose, OPERATOR.c.email, OPERATOR.c.name).join_from(
    INVITE, OPERATOR, INVITE.c.operator_id == OPERATOR.c.operator_id
)


def _who_is_there(email: str, role: Role | None) -> Row[Any] | None:
    """Who comes by this e-mail and password. Raises as `make` does."""
    found = operators.of_email(email)
    if not found and role is None:
        raise UnknownOperator("There is no such operator; say the role of a new one.")
    if not found:
        return None
    if not found[0].active:
        raise Refused("This operator is disabled; enable him first.")
    if role is not None and found[0].role != role:
        raise Refused(f"This operator's role is {found[0].role}; change the role first.")
    return found[0]


def _whose(token: str) -> int:
    """Raises InviteOver."""
    operator_id = db.session.scalar(select(INVITE.c.operator_id).where(_is_open(token)))
    if operator_id is None:
        raise _over()
    return int(operator_id)


def _used(token: str) -> int:
    """Uses the link up; the database decides who is first. Raises InviteOver."""
    using = update(INVITE).where(_is_open(token)).values(used_at=func.now())
    operator_id = db.session.execute(using.returning(INVITE.c.operator_id)).scalar()
    if operator_id is None:
        raise _over()
    return int(operator_id)


def _is_open(token: str) -> ColumnElement[bool]:
    return and_(
        INVITE.c.token_hash == token_hash(token),
        INVITE.c.used_at.is_(None),
        # Not now(), when the transaction began: another link may have been made since.
        INVITE.c.expires_at > func.clock_timestamp(),
    )


def _over() -> InviteOver:
    return InviteOver("This link was used, is too old, or a newer one took its place.")
