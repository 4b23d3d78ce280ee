"""Charges a payment that exists and is PENDING: by its own id, or as the one of a trip or order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, select

from payment_service import idempotency
from payment_service.domain.callers import Caller
from payment_service.domain.commands import Charge, ChargePending, HowToCharge
from payment_service.domain.states import Verdict
from payment_service.domain.vocabulary import PaymentStatus
from payment_service.extensions import db
from payment_service.idempotency import Key
from payment_service.services import amounts, payers, payment_methods, pending, pricing, routing
from payment_service.services.moves import due, retries, rows, steps, tokens, transitions
from payment_service.services.moves.answers import Ended
from payment_service.services.moves.operations import new_transaction, next_number
from payment_service.services.moves.rows import PAYMENT, PAYMENT_COLUMNS, PaymentRow
from payment_service.services.moves.steps import Move
from payment_service.services.moves.transitions import News

_SAID = (*pricing.COPIED, "caller_reference", "fare")
"""What a later charge may say anew of a payment; what it leaves out stays."""


def charge_pending(*, payment_id: int, command: ChargePending, key: Key, caller: Caller) -> Ended:
    """Charges a payment that was created, or imported, and is PENDING.

    Raises PaymentNotFound, IllegalTransition, PaymentExists and what a charge raises.
    """

    def begin() -> Move:
        payers.expect_usable(command.said)
        tokens.expect_keepable(command.payment_token)
        priced = pending.price(payment_id=payment_id, to=PaymentStatus.PROCESSING)
        with due.crowded(), db.engine.begin() as connection:
            standing = pending.lock(connection, payment_id, to=PaymentStatus.PROCESSING)
            asked = pending.at_price(standing, priced)
            asked["method"] = command.method or standing["method"]
            return _take_over(connection, standing, asked, command, key, caller)

    return retries.once(key=key, caller=caller, begin=begin)


def take_over_live(payment: PaymentRow, command: Charge, key: Key, caller: Caller) -> Move:
    """The trip or the order has a live payment: a PENDING one is charged, another refuses.

    Raises PaymentExists, AmountMismatch, KeyTaken, and what pricing.ask_trip raises.
    """
    payment = _with_its_trip(payment, command)
    with due.crowded(), db.engine.begin() as connection:
        standing = lock_live(connection, payment)
        if not standing:
            due.expect_due(connection, payment)
            raise idempotency.KeyTaken  # it died meanwhile: begin again
        there, named = due.places_of(standing), due.places_of(payment)
        if any(there.get(name, value) != value for name, value in named.items()):
            raise due.exists(standing["payment_id"], standing["status"])
        if standing["trip_id"] and not payment["trip_id"]:
            raise idempotency.KeyTaken  # it got a trip meanwhile: begin again, and ask for its fare
        # It takes the place of all that either names, so none of them may be paid.
        both = pending.said_anew(standing, payment, due.PLACES)
        due.expect_due(connection, both)
        pending.expect_price(standing, payment)
        asked = pending.said_anew(pending.at_price(standing, payment), payment, _SAID)
        asked["method"] = payment["method"]
        asked["metadata"] = payment["metadata"] or asked["metadata"]
        return _take_over(connection, standing, asked, command, key, caller)


def _with_its_trip(payment: PaymentRow, command: Charge) -> PaymentRow:
    """Where a charge names only an order, and its PENDING payment is a trip's: the payment to be at
    that trip's fare, as if the charge had named the trip.

    Raises PaymentExists, AmountMismatch and what pricing.ask_trip raises.
    """
    if payment["trip_id"] is not None:
        return payment
    with db.engine.connect() as connection:
        standing = _pending_of(connection, _live(payment))
        if standing is None or standing["trip_id"] is None:
            return payment
        due.expect_due(connection, standing)
    payment = {**payment, "trip_id": standing["trip_id"]}
    trip = pricing.ask_trip(payment["trip_id"], payment["currency"])
    if trip is not None:
        payment = pricing.at_fare_of(payment, trip)
        amounts.expect(
            command.amount,
            payment["currency"],
            payment["amount"],
            sent_currency=command.currency,
        )
    return payment


def lock_live(connection: Connection, payment: PaymentRow) -> PaymentRow | None:
    """The PENDING payment that stands in the place of the trip or the order, locked; None if there
    is none. Raises as `_pending_of`."""
    return _pending_of(connection, _live(payment).with_for_update())


def _pending_of(connection: Connection, live: Select[Any]) -> PaymentRow | None:
    """The only one of the live payments of a trip or an order, which is PENDING.

    Raises PaymentExists if another one stands there, or if the trip and the order have one each.
    """
    found = [rows.payment_row(row) for row in connection.execute(live).mappings()]
    for other in found[1:] or found:
        if len(found) > 1 or other["status"] != PaymentStatus.PENDING:
            raise due.exists(other["payment_id"], other["status"])
    return found[0] if found else None


def _live(payment: PaymentRow) -> Select[Any]:
    """The payments that stand in the place of the payment's trip or order."""
    live = due.live_of(due.places_of(payment), payment["purpose"])
    in_place = PAYMENT.c.share == payment["share"]
    return select(*PAYMENT_COLUMNS).where(live, in_place).order_by(PAYMENT.c.payment_id)


def _take_over(
    connection: Connection,
    standing: PaymentRow,
    asked: PaymentRow,
    command: HowToCharge,
    key: Key,
    caller: Caller,
) -> Move:
    """Begins the charge of a PENDING payment: `standing` as the connection holds it locked, `asked`
    as it shall be."""
    pricing.expect_driver(asked, asked["method"])
    command = payment_methods.named(command, asked, connection)
    willing = routing.route(command, asked)
    token = command.payment_token or asked["payment_token"]
    asked["payment_token"] = tokens.to_charge_with(token)
    earlier = rows.read_transactions(connection, standing["payment_id"])
    transaction = new_transaction(
        payment=asked,
        number=next_number(earlier),
        kind=routing.type_of(command),
        amount=asked["amount"],
        provider=willing[0].name,
        caller=caller,
        moment=datetime.now(UTC),
    )
    edge = transitions.edge_of(standing, transaction["type"], Verdict.ASKED)
    return steps.begin(
        connection,
        payment=pending.rewrite(connection, standing, asked),
        before=standing,
        transaction=transaction,
        earlier=earlier,
        news=[News(edge.event, caller, None, transitions.taken_from(standing))],
        caller=caller,
        key=key,
        fallbacks=tuple(provider.name for provider in willing[1:]),
        said=command.said,
        changes={"status": edge.to, "provider": willing[0].name, "share": 0},
    )
