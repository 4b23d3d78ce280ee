"""Notes about a payment, by operators for operators: added, and never changed or taken away."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from payment_service.domain import notes
from payment_service.domain.acts import Act
from payment_service.domain.errors import PaymentNotFound
from payment_service.domain.pages import Deed
from payment_service.extensions import db
from payment_service.models import Operator, Payment, PaymentNote
from payment_service.queries import Query
from payment_service.services import audit_log, rights
from payment_service.services.sessions import Current

NOTE = PaymentNote.__table__
OPERATOR = Operator.__table__
PAYMENT = Payment.__table__

SHOWN = 100
"""Notes of one payment that are shown: more than anybody writes, few enough for one page."""

_OF_PAYMENT = Query(
    "notes_of_payment",
    select(
        NOTE.c.note_id,
        NOTE.c.operator_id,
        OPERATOR.c.name.label("operator_name"),
        NOTE.c.text,
        NOTE.c.at,
    )
    .select_from(NOTE.join(OPERATOR))
    .where(NOTE.c.payment_id == bindparam("payment_id", type_=BigInteger, required=True))
    .order_by(NOTE.c.note_id.desc())
    .limit(SHOWN),
)


@dataclass(frozen=True)
class Note:
    """What an operator wrote, and when."""

    note_id: int
    operator_id: int
    operator_name: str
    text: str
    at: datetime


def add(now: Current, *, payment_id: int, text: str, form_key: str) -> int:
    """Writes a note and gives its number; a form that comes again gives that of the first time,
    unless something else is written in it: then the back button brought it, and it is another note.
    Raises BadNote, PaymentNotFound, NotAllowed, OutOfReach. Commits."""
    rights.expect(now, Deed.NOTE)
    plain = notes.checked(text)
    once_key = hashlib.sha256(f"{form_key} {payment_id} {plain}".encode()).hexdigest()
    with db.session.begin():
        there = select(PAYMENT.c.payment_id).where(PAYMENT.c.payment_id == payment_id)
        if db.session.execute(there).first() is None:
            raise PaymentNotFound(f"there is no payment {payment_id}")
        adding = insert(NOTE).values(
            payment_id=payment_id,
            operator_id=now.operator_id,
            form_key=once_key,
            text=plain,
            at=func.clock_timestamp(),
        )
        once = adding.on_conflict_do_nothing(
            index_elements=[NOTE.c.operator_id, NOTE.c.form_key]
        ).returning(NOTE.c.note_id)
        added = db.session.execute(once).scalar_one_or_none()
        if added is not None:
            audit_log.write(
                actor=now.by.name,
                act=Act.NOTE_ADDED,
                object=f"payment:{payment_id}",
                body={"note_id": added},
                session_id=now.session_id,
            )
            return int(added)
        before = select(NOTE.c.note_id).where(
            NOTE.c.operator_id == now.operator_id, NOTE.c.form_key == once_key
        )
        return int(db.session.execute(before).scalar_one())


def listed(now: Current, *, payment_id: int) -> list[Note]:
    """The last notes about a payment, the oldest of them first. Raises NotAllowed, OutOfReach."""
    rights.expect(now, Deed.READ)
    return [Note(**row) for row in reversed(_OF_PAYMENT.rows(payment_id=payment_id))]
