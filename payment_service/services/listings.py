"""Reads payments and refunds: one, a page, or the newest of a trip. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, func, not_, or_, select, tuple_

from payment_service.domain.errors import PaymentNotFound, RefundNotFound
from payment_service.domain.vocabulary import PaymentStatus, Purpose
from payment_service.extensions import db
from payment_service.schemas.lists import Cursor, Page
from payment_service.services.moves import due, rows
from payment_service.services.moves.rows import (
    PAYMENT,
    PAYMENT_COLUMNS,
    REFUND,
    TRANSACTION,
    PaymentRow,
    RefundRow,
    TransactionRow,
)


class Detail(PaymentRow):
    """A payment with its requests."""

    transactions: list[TransactionRow]


def get_payment(*, payment_id: int) -> Detail:
    """A payment with its `transactions`. Raises PaymentNotFound."""
    with db.engine.connect() as connection:
        payment = rows.read_payment(connection, payment_id)
        if payment is None:
            raise PaymentNotFound(f"there is no payment {payment_id}")
        return {**payment, "transactions": rows.read_transactions(connection, payment_id)}


def get_of(*, column: str, value: int) -> Detail:
    """The payment for the fare of a trip, or for an order: the live one, else the newest. What else
    was paid for it, such as a tip, is another payment. Raises PaymentNotFound."""
    live = due.live_of({column: value}, Purpose.FARE)
    dead = and_(PAYMENT.c[column] == value, not_(PAYMENT.c.live), PAYMENT.c.purpose == Purpose.FARE)
    query = (
        select(PAYMENT.c.payment_id)
        .where(or_(live, dead), PAYMENT.c.share == 0)
        .order_by(PAYMENT.c.live.desc(), PAYMENT.c.created_at.desc(), PAYMENT.c.payment_id.desc())
        .limit(1)
    )
    return _get(query, f"there is no payment for {column.removesuffix('_id')} {value}")


def get_by_transaction(*, provider_reference: str) -> Detail:
    """The payment that the provider knows under this reference. Raises PaymentNotFound."""
    query = (
        select(TRANSACTION.c.payment_id)
        .where(TRANSACTION.c.provider_reference == provider_reference)
        .order_by(TRANSACTION.c.payment_id.desc())
        .limit(1)
    )
    return _get(query, "no payment has this transaction")


def list_payments(*, page: Page, filters: Mapping[str, Any]) -> Mapping[str, Any]:
    """A page of payments as rows, newest first, with what the wire says about the page."""
    wanted = [_wanted(name, value) for name, value in filters.items()]
    return _page(PAYMENT, PAYMENT_COLUMNS, wanted, page, "payment_id", "payments")


def get_refund(*, refund_id: int) -> RefundRow:
    """One refund. Raises RefundNotFound."""
    with db.engine.connect() as connection:
        query = select(REFUND).where(REFUND.c.refund_id == refund_id)
        found = connection.execute(query).mappings().one_or_none()
    if found is None:
        raise RefundNotFound(f"there is no refund {refund_id}")
    return rows.refund_row(found)


def list_refunds(*, page: Page, filters: Mapping[str, Any]) -> Mapping[str, Any]:
    """A page of refunds as rows, newest first."""
    wanted = [REFUND.c[name] == value for name, value in filters.items()]
    return _page(REFUND, list(REFUND.c), wanted, page, "refund_id", "refunds")


def list_refunds_of(*, payment_id: int, page: Page) -> Mapping[str, Any]:
    """A page of one payment's refunds. Raises PaymentNotFound."""
    get_payment(payment_id=payment_id)
    return list_refunds(page=page, filters={"payment_id": payment_id})


def _get(query: Select, missing: str) -> Detail:
    with db.engine.connect() as connection:
        payment_id = connection.execute(query).scalar_one_or_none()
    if payment_id is None:
        raise PaymentNotFound(missing)
    return get_payment(payment_id=payment_id)


def _has(column: str, value: int) -> ColumnElement[bool]:
    """Live and dead rows of a trip or order each have an index of their own; a plain equality
    could use neither."""
    same = PAYMENT.c[column] == value
    return or_(and_(same, PAYMENT.c.live), and_(same, not_(PAYMENT.c.live)))


Filter = ColumnElement[bool] | Any
"""A condition; SQLAlchemy types comparisons of a Table's columns as Any."""


def _wanted(name: str, value: Any) -> Filter:
    """One filter, phrased so that an index serves it."""
    if name in ("trip_id", "order_id"):
        return _has(name, value)
    if name == "status":
        return _in_status(value)
    if name == "reference":
        ours: ColumnElement[bool] = PAYMENT.c.reference == value
        return or_(ours, PAYMENT.c.caller_reference == value)
    if name == "created_from":
        return PAYMENT.c.created_at >= value
    if name == "created_to":
        return PAYMENT.c.created_at < value
    return PAYMENT.c[name] == value


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


def _page(
    table: Table,
    columns: list[Any],
    wanted: list[Filter],
    page: Page,
    key: str,
    noun: str,
) -> Mapping[str, Any]:
    order = (table.c.created_at, table.c[key])
    query = select(*columns).where(*wanted).order_by(*(column.desc() for column in order))
    if page.cursor:
        query = query.where(tuple_(*order) < (page.cursor.created_at, page.cursor.row_id))
    # One row more than wanted tells whether there is a next page, without counting.
    query = query.limit(page.limit + 1).offset(page.offset)
    with db.engine.connect() as connection:
        found = [dict(row) for row in connection.execute(query).mappings()]
        total = None
        if page.total:
            counted = select(func.count()).select_from(table).where(*wanted)
            total = connection.execute(counted).scalar_one()
    shown, more = found[: page.limit], len(found) > page.limit
    last = Cursor(shown[-1]["created_at"], shown[-1][key]) if more else None
    body = {
        noun: shown,
        "count": len(shown),
        "has_more": more,
        "next_cursor": str(last) if last else None,
        "limit": page.limit,
        "offset": page.offset,
    }
    return body if total is None else {**body, "total": total}
