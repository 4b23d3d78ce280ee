"""One payment as an operator sees it: what the wire does not show, too, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, bindparam, select

from payment_service.domain.errors import PaymentNotFound
from payment_service.queries import Listed, Query
from payment_service.services.moves.rows import (
    PAYMENT,
    REFUND,
    TRANSACTION,
    TRANSACTION_COLUMNS,
)

LAST = 10
"""Payments of one rider beside the one that is looked at."""

_ID = bindparam("id", type_=BigInteger, required=True)
_NOT_SHOWN = ("payment_token", "token", "audit_head")
_CASE = Query(
    "read_case",
    select(*(column for column in PAYMENT.c if column.name not in _NOT_SHOWN)).where(
        PAYMENT.c.payment_id == _ID
    ),
    lists={
        "transactions": Listed(
            TRANSACTION_COLUMNS,
            TRANSACTION.c.payment_id == PAYMENT.c.payment_id,
            order=[TRANSACTION.c.number],
        ),
        "refunds": Listed(
            list(REFUND.c), REFUND.c.payment_id == PAYMENT.c.payment_id, order=[REFUND.c.refund_id]
        ),
    },
)
_OF_RIDER = Query(
    "payments_of_rider",
    select(PAYMENT.c.payment_id, PAYMENT.c.amount, PAYMENT.c.currency)
    .add_columns(PAYMENT.c.status, PAYMENT.c.created_at)
    .where(PAYMENT.c.rider_id == bindparam("rider", type_=BigInteger, required=True))
    .order_by(PAYMENT.c.created_at.desc(), PAYMENT.c.payment_id.desc())
    .limit(LAST),
)


def get_case(*, payment_id: int) -> Mapping[str, Any]:
    """The payment's row with its `transactions` and `refunds`. Raises PaymentNotFound."""
    found = _CASE.row(id=payment_id)
    if found is None:
        raise PaymentNotFound(f"there is no payment {payment_id}")
    return found


def last_of_rider(*, rider_id: int | None) -> Sequence[Mapping[str, Any]]:
    """That rider's newest payments; none where nobody says who rode."""
    return [] if rider_id is None else _OF_RIDER.rows(rider=rider_id)
