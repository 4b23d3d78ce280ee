"""The filters of the lists as conditions, each phrased so that an index serves it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, and_, bindparam, not_, or_, select

from payment_service.domain.vocabulary import PaymentStatus
from payment_service.services.moves import due
from payment_service.services.moves.rows import PAYMENT, TRANSACTION

_COLUMN_OF = {
    **dict.fromkeys(("created_from", "created_to"), "created_at"),
    **dict.fromkeys(("at_from", "at_to"), "at"),
    "received_from": "received_at",
    "due_before": "evidence_due_at",
}

Filter = ColumnElement[bool] | Any
"""A condition; SQLAlchemy types comparisons of a Table's columns as Any."""


def _has(column: str, value: Any) -> Filter:
    """Live and dead rows of a trip or order each have an index of their own; a plain equality
    could use neither."""
    same = PAYMENT.c[column] == value
    return or_(and_(same, PAYMENT.c.live), and_(same, not_(PAYMENT.c.live)))


def _in_status(status: str) -> Filter:
    """SUCCESS is most rows, so the list's own order finds it; PROCESSING is in the index of open
    requests; the others are in the index of rare statuses."""
    if status == PaymentStatus.SUCCESS:
        return PAYMENT.c.status == status
    if status == PaymentStatus.PROCESSING:
        at_work = select(TRANSACTION.c.payment_id).where(
            TRANSACTION.c.status == "PROCESSING", TRANSACTION.c.type != "REFUND"
        )
        return and_(PAYMENT.c.status == status, PAYMENT.c.payment_id.in_(at_work))
    return PAYMENT.c.rare_status == status


def wanted_rows(table: Table, name: str, status: str | None) -> Filter:
    """One filter, phrased so that an index serves it. Its value is the parameter of its name, but
    for a payment's status, which the index depends on."""
    if table is PAYMENT and name == "status":
        return _in_status(status or "")
    column = table.c[_COLUMN_OF.get(name, name)]
    value = bindparam(name, type_=column.type, required=True)
    if table is PAYMENT and name in due.PLACES:
        return _has(name, value)
    if name == "reference":
        return or_(column == value, PAYMENT.c.caller_reference == value)
    if name.endswith("_from"):
        return column >= value
    return column < value if name.endswith(("_to", "_before")) else column == value
