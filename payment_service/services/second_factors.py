"""An operator's second factor: setting one up, and using its codes, each once."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select, update

from payment_service.domain.acts import Act
from payment_service.domain.operators import Ended, How, OutOfReach, Reach, WrongCode
from payment_service.extensions import db
from payment_service.identity import second_factor
from payment_service.models import Operator
from payment_service.models.columns import Sealed, Secret
from payment_service.models.keyring import NoKey, NotGenuine
from payment_service.services import audit_log, sessions
from payment_service.services.sessions import Begun, Current

OPERATOR = Operator.__table__


@dataclass(frozen=True)
class SecondFactorOffer:
    """A second factor to put into an app: the secret as text, and as a QR code (an `<svg>` without
    a size). Nothing changes until a code of it is confirmed."""

    secret: str = field(repr=False)
    svg: str = field(repr=False)


@dataclass(frozen=True)
class SetUp:
    """A second factor that is set up. The recovery codes are shown now and never again."""

    begun: Begun
    recovery_codes: list[str] = field(repr=False)


def offer(now: Current) -> SecondFactorOffer:
    """The one that was offered to this session before, or a new one. Commits.

    Raises NoKey without ENCRYPTION_KEYS, and OutOfReach where the operator has not stepped up: by
    the first one, too, whoever copied a cookie would keep the person out.
    """
    _expect_allowed(now)
    with db.session.begin():
        secret = _offered(now)
        if secret is None:
            secret = second_factor.new_secret()
            kept = Secret(now.operator_id, f"{now.session_id} {secret}")
            db.session.execute(_at(now.operator_id).values(totp_next=kept))
    svg = second_factor.qr_code(secret, name=now.email or now.name)
    return SecondFactorOffer(secret, svg)


def confirm(now: Current, *, code: str, address: str, agent: str) -> SetUp:
    """What was offered to this session is the operator's second factor from now on. All his
    sessions end, and a new one with a new token takes the place of the one that asks. Raises
    WrongCode, and what `offer` raises. Commits."""
    _expect_allowed(now)
    with db.session.begin():
        secret = _offered(now)
        step = second_factor.step_of(secret, code, at=time.time()) if secret else None
        if secret is None or step is None:
            raise WrongCode("This is not the code that the app shows now.")
        codes = second_factor.new_recovery_codes()
        values = {
            "totp_secret": Secret(now.operator_id, secret),
            "totp_next": None,
            "totp_last_step": step,
            "recovery_hashes": [second_factor.recovery_hash(one) for one in codes],
        }
        db.session.execute(_at(now.operator_id).values(values))
        begun = sessions.replace(
            now, how=How.CODE, address=address, agent=agent, and_end=Ended.SECOND_FACTOR
        )
        audit_log.write(
            actor=now.by.name,
            act=Act.SECOND_FACTOR_SET,
            object=now.by.name,
            session_id=begun.session_id,
            address=address,
        )
    return SetUp(begun, codes)


def take_away(operator_id: int) -> list[int]:
    """The second factor, its recovery codes, and the operator's sessions, whose ids it gives. In
    the current transaction."""
    values: dict[str, Any] = {
        "totp_secret": None,
        "totp_next": None,
        "totp_last_step": None,
        "recovery_hashes": [],
    }
    db.session.execute(_at(operator_id).values(values))
    return sessions.end_all(operator_id=operator_id, why=Ended.SECOND_FACTOR)


def use(operator_id: int, code: str, *, recovery: bool = True) -> How | None:
    """Uses a code up, in the current transaction: one of the app's or, where these are taken, a
    recovery code. How it was, None if it is wrong or was used before.

    The database decides who is first: each UPDATE finds the row as the one before it left it.
    """
    if _use_step(operator_id, code):
        return How.CODE
    if recovery and _use_recovery(operator_id, code):
        return How.RECOVERY
    return None


def _use_step(operator_id: int, code: str) -> bool:
    query = select(OPERATOR.c.totp_secret).where(OPERATOR.c.operator_id == operator_id)
    sealed: Sealed | None = db.session.scalar(query)
    if sealed is None:
        return False
    step = second_factor.step_of(sealed.opened(operator_id), code, at=time.time())
    if step is None:
        return False
    taking = _at(operator_id).where(OPERATOR.c.totp_last_step < step).values(totp_last_step=step)
    return db.session.execute(taking.returning(OPERATOR.c.operator_id)).first() is not None


def _use_recovery(operator_id: int, code: str) -> bool:
    kept = second_factor.recovery_hash(code)
    taking = (
        _at(operator_id)
        .where(OPERATOR.c.recovery_hashes.contains([kept]))
        .values(recovery_hashes=func.array_remove(OPERATOR.c.recovery_hashes, kept))
    )
    return db.session.execute(taking.returning(OPERATOR.c.operator_id)).first() is not None


def _expect_allowed(now: Current) -> None:
    if now.reach == Reach.CODE:
        raise OutOfReach("The code of the second factor comes first.")
    if not sessions.stepped_up(now):
        raise OutOfReach("Show the password or a code once more first.")


def _offered(now: Current) -> str | None:
    """The secret that was offered to this session, and to no other: who looks over one of them must
    not know what another one sets up."""
    sealed: Sealed | None = sessions.hold(now.operator_id).totp_next
    if sealed is None:
        return None
    try:
        session_id, _, secret = sealed.opened(now.operator_id).partition(" ")
    except (NoKey, NotGenuine):
        return None
    return secret if session_id == str(now.session_id) else None


def _at(operator_id: int) -> Any:
    return update(OPERATOR).where(OPERATOR.c.operator_id == operator_id)
