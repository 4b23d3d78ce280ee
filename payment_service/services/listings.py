"""Pages of payments, refunds, webhooks and acts, newest first, each in one round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Select,
    Table,
    bindparam,
    func,
    null,
    select,
    true,
    tuple_,
)

from payment_service.domain.errors import PaymentNotFound
from payment_service.queries import Query
from payment_service.schemas.lists import Cursor, Page
from payment_service.services.listing_filters import Filter, wanted_rows
from payment_service.services.moves.rows import PAYMENT, REFUND
from payment_service.services.reading import (
    ACT,
    DISPUTE,
    SHOWN_OF_ACT,
    SHOWN_OF_DISPUTE,
    SHOWN_OF_PAYMENT,
    SHOWN_OF_REFUND,
    SHOWN_OF_WEBHOOK,
    WEBHOOK,
    of_rider,
    shown_refund,
)


def list_payments(
    *, page: Page, filters: Mapping[str, Any], rider: int | None = None
) -> Mapping[str, Any]:
    """A page of payments as rows, newest first, with what the wire says about the page.

    Here and below, a `rider` finds only that rider's own.
    """
    return _page("payments", page, filters, rider)


def list_refunds(
    *, page: Page, filters: Mapping[str, Any], rider: int | None = None
) -> Mapping[str, Any]:
    """A page of refunds as rows, newest first."""
    return _page("refunds", page, filters, rider)


def list_disputes(
    *, page: Page, filters: Mapping[str, Any], rider: int | None = None
) -> Mapping[str, Any]:
    """A page of disputes as rows, newest first."""
    return _page("disputes", page, filters, rider)


def list_webhooks(*, page: Page, filters: Mapping[str, Any]) -> Mapping[str, Any]:
    """A page of webhooks as rows without their bodies, the newest first."""
    return _page("webhooks", page, filters, None)


def list_acts(*, page: Page, filters: Mapping[str, Any]) -> Mapping[str, Any]:
    """A page of the audit log as rows, the newest first."""
    return _page("acts", page, filters, None)


def newer_than(noun: str, *, filters: Mapping[str, Any], cursor: Cursor, most: int) -> int:
    """How many rows that fit stand above that row of the list; of more than `most`, `most`."""
    _, moment, key = _OF_NOUN[noun]
    since = {**filters, f"{moment.name.removesuffix('_at')}_from": cursor.created_at}
    rows = _page(noun, Page(most, 0, None, total=False), since, None)[noun]
    top = (cursor.created_at, cursor.row_id)
    return sum((row[moment.name], row[key.name]) > top for row in rows)


def list_refunds_of(*, payment_id: int, page: Page, rider: int | None = None) -> Mapping[str, Any]:
    """A page of one payment's refunds. Raises PaymentNotFound."""
    return _page("refunds", page, {"payment_id": payment_id}, rider, of_payment=True)


_RIDER = bindparam("rider", type_=BigInteger, required=True)


def _own(table: Table) -> Filter:
    """The payment, or that of the refund, is the rider's."""
    own = of_rider(_RIDER)
    if table is PAYMENT:
        return own
    return table.c.payment_id.in_(select(PAYMENT.c.payment_id).where(own))


@dataclass(frozen=True)
class _Shape:
    """What the text of a page's statement depends on; the rest are its parameters. A `limit` of 0
    is a parameter, too."""

    noun: str
    limit: int = 0
    filters: tuple[str, ...] = ()
    status: str | None = None
    after: bool = False
    offset: bool = False
    total: bool = False
    of_payment: bool = False
    of_rider: bool = False


_USUAL = (20, 50, 100)
"""Sizes of pages by which the whole list is prepared, with the size in the text. What has filters
is planned for their values: how many rows have them differs too much."""
_OF_NOUN = {
    "payments": (SHOWN_OF_PAYMENT, PAYMENT.c.created_at, PAYMENT.c.payment_id),
    "refunds": (SHOWN_OF_REFUND, REFUND.c.created_at, REFUND.c.refund_id),
    "disputes": (SHOWN_OF_DISPUTE, DISPUTE.c.created_at, DISPUTE.c.dispute_id),
    "webhooks": (SHOWN_OF_WEBHOOK, WEBHOOK.c.received_at, WEBHOOK.c.webhook_id),
    "acts": (SHOWN_OF_ACT, ACT.c.at, ACT.c.audit_id),
}
"""What is shown, and what a list is ordered by: a time, and the key."""


@lru_cache(maxsize=500)
def _paged(shape: _Shape) -> Query:
    """The page's rows, newest first, and one more, which tells that there is a next page."""
    columns, moment, key = _OF_NOUN[shape.noun]
    table: Table = key.table
    wanted = [wanted_rows(table, name, shape.status) for name in shape.filters]
    if shape.of_rider:
        wanted.append(_own(table))
    order = (moment, key)
    rows = select(*columns).where(*wanted).order_by(*(column.desc() for column in order))
    if shape.after:
        kinds = {"after_at": moment.type, "after_id": key.type}
        last = [bindparam(name, type_=kind, required=True) for name, kind in kinds.items()]
        rows = rows.where(tuple_(*order) < tuple_(*last))
    most = shape.limit + 1 if shape.limit else bindparam("most", type_=BigInteger, required=True)
    rows = rows.limit(most)
    if shape.offset:
        rows = rows.offset(bindparam("offset", type_=BigInteger, required=True))
    if shape.total or shape.of_payment:
        rows = _beside(rows, order, _whole(table, wanted, shape))
    return Query(f"page_{shape.noun}_{shape.limit}_{shape.after}", rows, prepared=shape.limit > 0)


def _whole(table: Table, wanted: list[Filter], shape: _Shape) -> Select[Any]:
    """One row of the list itself: how long it is, if the payment that it is of is there."""
    counted = select(func.count()).select_from(table).where(*wanted)
    length = counted.correlate(None).scalar_subquery() if shape.total else null()
    whole = select(length.label("total"))
    if not shape.of_payment:
        return whole
    same = PAYMENT.c.payment_id == bindparam("payment_id", type_=BigInteger, required=True)
    whole = whole.select_from(PAYMENT).where(same)
    return whole.where(of_rider(_RIDER)) if shape.of_rider else whole


def _beside(rows: Select[Any], order: Sequence[Column[Any]], whole: Select[Any]) -> Select[Any]:
    """The page's rows, each with the list's own columns; where it is empty, those alone."""
    page, around = rows.subquery("page"), whole.subquery("whole")
    newest_first = [page.c[column.name].desc() for column in order]
    return (
        select(*page.c, around.c.total)
        .select_from(around.outerjoin(page, true()))
        .order_by(*newest_first)
    )


def _page(
    noun: str,
    page: Page,
    filters: Mapping[str, Any],
    rider: int | None,
    *,
    of_payment: bool = False,
) -> Mapping[str, Any]:
    """The page as the wire shows it. Raises PaymentNotFound if it is of one that is not there."""
    _, moment, key = _OF_NOUN[noun]
    cursor = page.cursor
    shape = _Shape(
        noun,
        filters=tuple(sorted(filters)),
        status=filters.get("status") if noun == "payments" else None,
        after=cursor is not None,
        offset=page.offset > 0,
        total=page.total,
        of_payment=of_payment,
        of_rider=rider is not None,
    )
    if page.limit in _USUAL and shape == _Shape(noun, after=shape.after):
        shape = replace(shape, limit=page.limit)
    values = {**filters, "offset": page.offset, "most": page.limit + 1, "rider": rider}
    if cursor:
        values |= {"after_at": cursor.created_at, "after_id": cursor.row_id}
    found = _paged(shape).rows(**values)
    if of_payment and not found:
        raise PaymentNotFound(f"there is no payment {filters['payment_id']}")
    total = found[0]["total"] if page.total else None
    found = [row for row in found if row[key.name] is not None]
    shown, more = found[: page.limit], len(found) > page.limit
    last = Cursor(shown[-1][moment.name], shown[-1][key.name]) if more else None
    body = {
        noun: [shown_refund(row, rider) for row in shown] if noun == "refunds" else shown,
        "count": len(shown),
        "has_more": more,
        "next_cursor": str(last) if last else None,
        "limit": page.limit,
        "offset": page.offset,
    }
    return body if total is None else {**body, "total": total}
