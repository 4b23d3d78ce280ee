"""Refunds that were asked for, as pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select

from payment_service.domain import four_eyes
from payment_service.domain.four_eyes import RequestState
from payment_service.domain.operators import operator_number
from payment_service.extensions import db
from payment_service.models import Operator
from payment_service.services import refunds_asked_for as asked
from payment_service.services import standing
from payment_service.services.moves import refund_holds
from payment_service.services.moves.refund_holds import REQUEST, RefundRequestRow, request_row
from payment_service.services.moves.rows import PAYMENT, PaymentRow

OPERATOR = Operator.__table__

LAST = 10
"""Of the asker's requests, beside the one that is to be decided on."""


@dataclass(frozen=True)
class Shown:
    """A request with its payment, at one moment. `hash` goes into the form, and back to approve or
    decline it."""

    request: RefundRequestRow
    payment: PaymentRow
    hash: str


def look(request_id: int) -> Shown:
    """The request as it is to be shown to whoever decides. Raises UnknownRequest."""
    with db.engine.connect() as connection:
        # The payment first: where it moves in between, its version is too old, and nothing worse.
        first = asked.known(refund_holds.read(connection, request_id))
        payment = standing.read(connection, first["payment_id"])
        request = asked.known(refund_holds.read(connection, request_id))
    return Shown(request, payment, four_eyes.shown(request, payment["version"]))


def open_ones(*, after: int = 0, limit: int = 50) -> list[RefundRequestRow]:
    """Those that wait for a decision, the oldest first, from behind the request `after` on."""
    return _listed(
        (REQUEST.c.state == RequestState.OPEN) & (REQUEST.c.request_id > after), limit, newest=False
    )


def of_payment(payment_id: int) -> list[RefundRequestRow]:
    """All of one payment, the newest first."""
    return _listed(REQUEST.c.payment_id == payment_id, 100)


def last_of(asked_by: str) -> list[RefundRequestRow]:
    """What this one asked for last."""
    return _listed(REQUEST.c.asked_by == asked_by, LAST)


def with_payments(requests: Sequence[RefundRequestRow]) -> list[tuple[RefundRequestRow, int]]:
    """Each with what its payment captured, in minor units."""
    ids = {request["payment_id"] for request in requests}
    query = select(PAYMENT.c.payment_id, PAYMENT.c.captured).where(PAYMENT.c.payment_id.in_(ids))
    with db.engine.connect() as connection:
        captured: dict[int, int] = {
            row.payment_id: row.captured for row in connection.execute(query)
        }
    return [(request, captured[request["payment_id"]]) for request in requests]


def names_of(actors: Iterable[str | None]) -> dict[str, str]:
    """What those of them are called who are operators, by their names in the rows."""
    numbers = {name: operator_number(name) for name in actors if name}
    wanted = [number for number in numbers.values() if number is not None]
    query = select(OPERATOR.c.operator_id, OPERATOR.c.name).where(
        OPERATOR.c.operator_id.in_(wanted)
    )
    with db.engine.connect() as connection:
        known = {row.operator_id: row.name for row in connection.execute(query)}
    return {name: known[number] for name, number in numbers.items() if number in known}


def _listed(
    which: ColumnElement[bool], limit: int, *, newest: bool = True
) -> list[RefundRequestRow]:
    order = REQUEST.c.request_id.desc() if newest else REQUEST.c.request_id
    query = select(REQUEST).where(which).order_by(order).limit(limit)
    with db.engine.connect() as connection:
        return [request_row(row) for row in connection.execute(query).mappings()]
