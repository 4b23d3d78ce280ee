"""Operators: who there are, and how they come in and go out.

Every act is written down in its own transaction. Raises what domain/operators.py names, NotAnAdmin
and StepUpFirst from each that changes anything; each text is a sentence for the person who asked.
`who` is an e-mail, or an operator's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, func, insert, select, text, update

from payment_service.domain.acts import Act
from payment_service.domain.operators import (
    BadText,
    By,
    EmailTaken,
    Ended,
    LastAdmin,
    NotAnAdmin,
    OwnRole,
    Role,
    StepUpFirst,
    UnknownOperator,
    is_email,
    operator_name,
)
from payment_service.extensions import db
from payment_service.models import Operator, OperatorInvite
from payment_service.services import audit_log, second_factors, sessions

OPERATOR = Operator.__table__
INVITE = OperatorInvite.__table__

LONGEST_NAME = 100

# Any number that no other use of advisory locks in this database has. Held by whoever adds an
# operator, or takes one's role or place: who the last admin is stays so until he is done.
ONE_AT_A_TIME = 7_102_394_514


@dataclass(frozen=True)
class Profile:
    """One operator in a list. `email` is None for some who come by single sign-on."""

    operator_id: int
    email: str | None
    name: str
    role: Role
    active: bool
    by_password: bool
    by_sso: bool
    has_second_factor: bool
    created_at: datetime
    last_login_at: datetime | None


def add(
    *,
    email: str,
    name: str = "",
    role: Role,
    by: By,
    issuer: str | None = None,
    subject: str | None = None,
) -> int:
    """An operator who can't come in yet; gives his number. With issuer and subject he comes by
    single sign-on, and his role is what the issuer says then; others use an invite. Raises BadText,
    EmailTaken. Commits."""
    expect_admin(by)
    with db.session.begin():
        hold_all()
        operator_id = insert_new(
            email=email, name=name, role=role, by=by, issuer=issuer, subject=subject
        )
        write(by, Act.OPERATOR_ADDED, operator_id, {"role": role, "sso": issuer is not None})
    return operator_id


def change_role(*, who: str, role: Role, by: By) -> None:
    """Ends the operator's sessions. Raises UnknownOperator, LastAdmin, OwnRole. Commits."""
    expect_admin(by)
    with db.session.begin():
        row = held(who)
        if row.operator_id == by.operator_id:
            raise OwnRole("Nobody changes their own role.")
        if row.role == role:
            return
        if role != Role.ADMIN:
            _expect_another_admin(row)
        _change(row, role=role)
        ended = sessions.end_all(operator_id=row.operator_id, why=Ended.ROLE)
        body = {"from": row.role, "to": role, "ended": ended}
        write(by, Act.OPERATOR_ROLE_CHANGED, row.operator_id, body)


def disable(*, who: str, by: By) -> None:
    """Ends the operator's sessions and his open links. Raises UnknownOperator, LastAdmin.
    Commits."""
    expect_admin(by)
    with db.session.begin():
        row = held(who)
        if not row.active:
            return
        _expect_another_admin(row)
        _change(row, active=False)
        end_links(row.operator_id)
        ended = sessions.end_all(operator_id=row.operator_id, why=Ended.DISABLED)
        write(by, Act.OPERATOR_DISABLED, row.operator_id, {"ended": ended})


def enable(*, who: str, by: By) -> None:
    """Lets a disabled operator in again, with what he had. Raises UnknownOperator. Commits."""
    expect_admin(by)
    with db.session.begin():
        row = held(who)
        if row.active:
            return
        _change(row, active=True)
        write(by, Act.OPERATOR_ENABLED, row.operator_id)


def reset_second_factor(*, who: str, by: By) -> None:
    """Takes the second factor and its recovery codes away, and ends the operator's sessions. Where
    one is needed he sets up another at his next log-in. Raises UnknownOperator. Commits."""
    expect_admin(by)
    with db.session.begin():
        row = held(who)
        ended = second_factors.take_away(row.operator_id)
        write(by, Act.SECOND_FACTOR_RESET, row.operator_id, {"ended": ended})


def listed() -> list[Profile]:
    """All operators, by e-mail and number."""
    columns = [OPERATOR.c[name] for name in ("operator_id", "email", "name", "role", "active")]
    query = select(
        *columns,
        OPERATOR.c.password_hash.is_not(None).label("by_password"),
        OPERATOR.c.issuer.is_not(None).label("by_sso"),
        OPERATOR.c.totp_last_step.is_not(None).label("has_second_factor"),
        OPERATOR.c.created_at,
        OPERATOR.c.last_login_at,
    ).order_by(OPERATOR.c.email, OPERATOR.c.operator_id)
    with db.engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return [Profile(**{**row, "role": Role(row["role"])}) for row in rows]


def has_admin() -> bool:
    """Whether an active admin has a way to come in."""
    with db.engine.connect() as connection:
        found = connection.execute(select(OPERATOR.c.operator_id).where(_IS_ADMIN, _COMES_IN))
        return found.first() is not None


# -- for services/invites too


def expect_admin(by: By) -> None:
    """Raises NotAnAdmin, and StepUpFirst of a session: a browser that was left open must not make
    an admin."""
    if not by.is_admin:
        raise NotAnAdmin("Only an admin does this.")
    if by.operator_id is not None and not sessions.stepped_up(by):
        raise StepUpFirst("Show once more who you are. Nothing was done yet.")


def hold_all() -> None:
    """Until the current transaction ends nobody else adds an operator, or takes a role or place."""
    db.session.execute(text("SELECT pg_advisory_xact_lock(:one)"), {"one": ONE_AT_A_TIME})


def held(who: str) -> Row[Any]:
    """The operator's row, held until the current transaction ends. Raises UnknownOperator."""
    hold_all()
    if who.isdecimal() and len(who) < 19:
        found = db.session.execute(_rows(OPERATOR.c.operator_id == int(who))).all()
    else:  # one of them may be kept out only by who knows that there is another way in
        found = db.session.execute(_rows(OPERATOR.c.email == clean_email(who))).all()
    if not found:
        raise UnknownOperator(f"There is no operator {who}.")
    if len(found) > 1:
        numbers = ", ".join(str(row.operator_id) for row in found)
        raise UnknownOperator(f"Several operators have this e-mail; say the number: {numbers}.")
    return found[0]


def of_email(email: str) -> list[Row[Any]]:
    """Who comes by this e-mail and a password, if there is one. Held."""
    own = (OPERATOR.c.email == clean_email(email)) & OPERATOR.c.issuer.is_(None)
    return list(db.session.execute(_rows(own)).all())


def insert_new(
    *,
    email: str,
    name: str,
    role: Role,
    by: By,
    issuer: str | None = None,
    subject: str | None = None,
) -> int:
    """A row in the current transaction, which holds all. Raises BadText, EmailTaken."""
    if (issuer is None) != (subject is None):
        raise BadText("An identity is an issuer and a subject.")
    values = {
        "email": clean_email(email),
        "name": clean_name(name),
        "role": role,
        "issuer": issuer,
        "subject": subject,
        "created_by": by.name,
    }
    if issuer is None:
        same = (OPERATOR.c.email == values["email"]) & OPERATOR.c.issuer.is_(None)
    else:
        same = (OPERATOR.c.issuer == issuer) & (OPERATOR.c.subject == subject)
    if db.session.execute(_rows(same)).first() is not None:
        raise EmailTaken("There is such an operator already.")
    adding = insert(OPERATOR).values(values).returning(OPERATOR.c.operator_id)
    return int(db.session.execute(adding).scalar_one())


def end_links(operator_id: int) -> None:
    """The operator's open links are too old from now on. In the current transaction."""
    which = (INVITE.c.operator_id == operator_id) & INVITE.c.used_at.is_(None)
    ending = update(INVITE).where(which, INVITE.c.expires_at > func.now())
    db.session.execute(ending.values(expires_at=func.now()))


def clean_email(email: str) -> str:
    """In lower case, without blanks around it. Raises BadText."""
    lower = email.strip().lower()
    if not is_email(lower):
        raise BadText("This is no e-mail address.")
    return lower


def clean_name(name: str) -> str:
    """Without blanks around it. Raises BadText."""
    plain = " ".join(name.split())
    if len(plain) > LONGEST_NAME or not plain.isprintable():
        raise BadText(f"A name has at most {LONGEST_NAME} characters, all of them visible.")
    return plain


def write(by: By, act: Act, operator_id: int, body: Mapping[str, Any] | None = None) -> None:
    """Of an act done to an operator. The last thing in its transaction."""
    audit_log.write(
        actor=by.name,
        act=act,
        object=operator_name(operator_id),
        body=body,
        session_id=by.session_id,
    )


_IS_ADMIN = (OPERATOR.c.role == Role.ADMIN) & OPERATOR.c.active
_COMES_IN = OPERATOR.c.password_hash.is_not(None) | OPERATOR.c.issuer.is_not(None)


def _rows(which: ColumnElement[bool]) -> Any:
    return select(OPERATOR).where(which).order_by(OPERATOR.c.operator_id).with_for_update()


def _expect_another_admin(row: Row[Any]) -> None:
    """Of an admin who can come in another such one must be left. Raises LastAdmin."""
    if row.role != Role.ADMIN or not row.active:
        return
    others = select(OPERATOR.c.operator_id).where(
        _IS_ADMIN, OPERATOR.c.operator_id != row.operator_id
    )
    if row.password_hash is not None or row.issuer is not None:
        others = others.where(_COMES_IN)
    if db.session.execute(others).first() is None:
        raise LastAdmin("This is the last active admin; make another one first.")


def _change(row: Row[Any], **values: Any) -> None:
    own = update(OPERATOR).where(OPERATOR.c.operator_id == row.operator_id)
    db.session.execute(own.values(values))
