"""Charges a payment that exists and is PENDING: by its own id, or as the one of a trip or order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from psycopg2.errors import UniqueViolation
from sqlalchemy import Connection, or_, select, update
from sqlalchemy.exc import IntegrityError

from payment_service import idempotency
from payment_service.domain.callers import Caller
from payment_service.domain.errors import (
    IllegalTransition,
    InvalidRequest,
    PaymentExists,
    PaymentNotFound,
)
from payment_service.domain.states import Outcome as Word
from payment_service.domain.vocabulary import PaymentStatus
from payment_service.extensions import db
from payment_service.idempotency import Key
from payment_service.services import amounts, drafts, moves, rows, transitions
from payment_service.services.answers import Answer
from payment_service.services.moves import Move
from payment_service.services.operations import new_transaction
from payment_service.services.rows import PAYMENT, PAYMENT_COLUMNS, Row
from payment_service.services.transitions import News

_SAID = (*drafts.COPIED, "caller_reference", "fare")
"""What a later charge may say anew of a payment; what it leaves out stays."""


def charge_pending(
    *, payment_id: int, command: Mapping[str, Any], key: Key, caller: Caller
) -> Answer:
    """Charges a payment that was created and is PENDING."""

    def begin() -> Move:
        with db.engine.begin() as connection:
            payment = rows.read_payment(connection, payment_id, lock=True)
            if payment is None:
                raise PaymentNotFound(f"there is no payment {payment_id}")
            if payment["status"] != PaymentStatus.PENDING:
                raise IllegalTransition(
                    f"payment {payment_id} is {payment['status']}; only PENDING can be charged",
                    **{"from": payment["status"], "to": PaymentStatus.PROCESSING},
                )
            wanted = {**command, "method": drafts.method_of(command) or payment["method"]}
            return _take_over(connection, payment, wanted, key, caller)

    return moves.once(key=key, caller=caller, begin=begin)


def take_over_live(payment: Row, command: Mapping[str, Any], key: Key, caller: Caller) -> Move:
    """The trip or the order has a live payment: a PENDING one is charged, another refuses.

    Raises PaymentExists, AmountMismatch, KeyTaken.
    """
    try:
        return _take_over_live(payment, command, key, caller)
    except IntegrityError as late:
        if not isinstance(late.orig, UniqueViolation):
            raise
        # The payment takes on the trip or the order too, and another got that just now.
        raise idempotency.KeyTaken from late


def _take_over_live(payment: Row, command: Mapping[str, Any], key: Key, caller: Caller) -> Move:
    with db.engine.begin() as connection:
        live = _lock_live(connection, payment)
        if not live:
            raise idempotency.KeyTaken  # it died meanwhile: begin again
        for other in live[1:] or live:
            if len(live) > 1 or other["status"] != PaymentStatus.PENDING:
                raise PaymentExists(
                    f"payment {other['payment_id']} is {other['status']} for this trip or order",
                    payment_id=other["payment_id"],
                    payment_status=other["status"],
                )
        standing = live[0]
        for name in ("trip_id", "order_id"):
            if None not in (standing[name], payment[name]) and standing[name] != payment[name]:
                raise PaymentExists(
                    f"payment {standing['payment_id']} is for {name} {standing[name]}",
                    payment_id=standing["payment_id"],
                    payment_status=standing["status"],
                )
        if standing["provider"] == "import":
            standing |= {"amount": payment["amount"], "currency": payment["currency"]}
        else:
            sent = {"amount_minor": payment["amount"]}
            if payment["currency"] != standing["currency"]:
                raise InvalidRequest.field("currency", f"the payment is in {standing['currency']}")
            amounts.expect(sent, standing["currency"], standing["amount"])
        for name in _SAID:
            standing[name] = payment[name] if payment[name] is not None else standing[name]
        standing["metadata"] = payment["metadata"] or standing["metadata"]
        wanted = {**command, "method": payment["method"]}
        return _take_over(connection, standing, wanted, key, caller)


def _lock_live(connection: Connection, payment: Row) -> list[Row]:
    wanted = [
        PAYMENT.c[column] == payment[column]
        for column in ("trip_id", "order_id")
        if payment[column] is not None
    ]
    query = (
        select(*PAYMENT_COLUMNS)
        .where(
            PAYMENT.c.live,
            PAYMENT.c.purpose == payment["purpose"],
            PAYMENT.c.share == payment["share"],
            or_(*wanted),
        )
        .order_by(PAYMENT.c.payment_id)
        .with_for_update()
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def _take_over(
    connection: Connection, payment: Row, command: Mapping[str, Any], key: Key, caller: Caller
) -> Move:
    """Begins the charge of a PENDING payment that the connection holds locked."""
    method = command["method"]
    drafts.expect_driver(payment, method)
    willing = drafts.route(command, method)
    token = command.get("payment_token") or payment["payment_token"]
    before = {"from_provider": payment["provider"], "from_method": payment["method"]}
    # What a charge may say anew is no status and so is set here; the counted labels change with
    # the move, so that the totals leave the old ones and enter the new ones.
    connection.execute(
        update(PAYMENT)
        .where(PAYMENT.c.payment_id == payment["payment_id"])
        .values(
            **{name: payment[name] for name in (*_SAID, "metadata", "amount", "currency")}
            | {"payment_token": token, "method": method}
        )
    )
    earlier = rows.read_transactions(connection, payment["payment_id"])
    transaction = new_transaction(
        payment=payment,
        number=len(earlier) + 1,
        kind=drafts.type_of(command),
        amount=payment["amount"],
        provider=willing[0].name,
        caller=caller,
        moment=datetime.now(UTC),
    )
    edge = transitions.edge_of(payment, transaction["type"], Word.ASKED)
    return moves.begin(
        connection,
        payment=payment,
        transaction=transaction,
        news=[News(edge.event, caller, None, before)],
        caller=caller,
        key=key,
        fallbacks=tuple(provider.name for provider in willing[1:]),
        status=edge.to,
        provider=willing[0].name,
        method=method,
        payment_token=token,
    )
