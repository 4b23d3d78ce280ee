"""Is the money of a trip or an order still to be collected? The one question that every door asks
before a provider, or a person, takes it.

A payment stands in the place of its trip or order on share 0. On other shares lies what came beside
it: history that was imported, and money that came in late and is given back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from psycopg2.errors import UniqueViolation
from sqlalchemy import BindParameter, ColumnElement, Connection, Select, and_, or_, select
from sqlalchemy.exc import IntegrityError

from payment_service import idempotency
from payment_service.domain.errors import PaymentExists
from payment_service.domain.vocabulary import PAID
from payment_service.services.moves.rows import PAYMENT, PaymentRow

PLACES = ("trip_id", "order_id")
"""What a payment stands for: each has one payment that is to be paid."""


def places_of(payment: PaymentRow) -> dict[str, int]:
    """The trip, the order, or both, that the payment stands for."""
    places = {"trip_id": payment["trip_id"], "order_id": payment["order_id"]}
    return {name: value for name, value in places.items() if value is not None}


def live_of(places: Mapping[str, int | BindParameter[int]], purpose: str) -> ColumnElement[bool]:
    """The live payments that a trip, an order or either of them has for this purpose, on all
    shares; share 0 is the one that stands in the place. `places` must name one at least."""
    same = [PAYMENT.c[name] == value for name, value in places.items()]
    return and_(PAYMENT.c.live, PAYMENT.c.purpose == purpose, or_(*same))


def expect_due(connection: Connection, payment: PaymentRow) -> None:
    """Raises PaymentExists if another payment pays for the payment's trip or order, or stands in
    its place to do so."""
    others = _same(payment)
    if others is None:
        return
    query = (
        select(PAYMENT.c.payment_id, PAYMENT.c.status)
        .where(others, or_(PAYMENT.c.share == 0, _paid_beside()))
        .order_by(PAYMENT.c.share, PAYMENT.c.payment_id)
        .limit(1)
    )
    if other := connection.execute(query).one_or_none():
        raise exists(other.payment_id, other.status)


def exists(payment_id: int, status: str) -> PaymentExists:
    """The refusal that names the payment in the way."""
    return PaymentExists(
        f"payment {payment_id} is {status} for this trip or order",
        payment_id=payment_id,
        payment_status=status,
    )


def shares_beside(connection: Connection, payment: PaymentRow) -> set[int]:
    """The shares that other live payments of the same trip or order have."""
    others = _same(payment)
    return set() if others is None else _shares(connection, select(PAYMENT.c.share).where(others))


def is_paid_beside(connection: Connection, payment: PaymentRow) -> bool:
    """Whether history that lies on another share has paid for the trip or order."""
    others = _same(payment)
    if others is None:
        return False
    return bool(_shares(connection, select(PAYMENT.c.share).where(others, _paid_beside())))


def _shares(connection: Connection, query: Select[int]) -> set[int]:
    return set(connection.execute(query).scalars())


def _same(payment: PaymentRow) -> ColumnElement[bool] | None:
    """The other live payments of the same trip or order; None if it has neither."""
    places = places_of(payment)
    if not places:
        return None
    return and_(live_of(places, payment["purpose"]), PAYMENT.c.payment_id != payment["payment_id"])


def _paid_beside() -> ColumnElement[bool]:
    """Paid beside the place, and not to be given back: surplus has a time at which it goes back."""
    return and_(PAYMENT.c.share > 0, PAYMENT.c.status.in_(PAID), PAYMENT.c.expires_at.is_(None))


@contextmanager
def crowded() -> Iterator[None]:
    """Inside, a payment takes the place of a trip or an order. If another one got it just now,
    idempotency.KeyTaken is raised: the caller begins again, and then finds that one."""
    try:
        yield
    except UniqueViolation as late:
        raise idempotency.KeyTaken from late
    except IntegrityError as late:
        if not isinstance(late.orig, UniqueViolation):
            raise
        raise idempotency.KeyTaken from late
