"""A PENDING payment on its way to being paid: still due, at today's fare, in its trip's place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from sqlalchemy import Connection, update

from payment_service.domain import money
from payment_service.domain.errors import AmountMismatch, IllegalTransition, PaymentNotFound
from payment_service.domain.vocabulary import PaymentStatus
from payment_service.extensions import db
from payment_service.services import pricing
from payment_service.services.moves import due, rows, tokens
from payment_service.services.moves.rows import PAYMENT, PaymentRow

_PRICE = ("amount", "currency", "fare", "rider_id", "driver_id")
_SAID_ANEW = frozenset({*pricing.COPIED, *_PRICE, "caller_reference", "metadata", "method"})
"""What of a payment may change until it is paid, its status apart."""


def price(*, payment_id: int, to: PaymentStatus) -> PaymentRow:
    """The payment with what it costs now: its trip is asked, and nothing is locked meanwhile.

    `to` is the status that is wanted. Raises PaymentNotFound, IllegalTransition, PaymentExists,
    AmountMismatch and what pricing.ask_trip raises.
    """
    with db.engine.connect() as connection:
        payment = _expect_payable(connection, payment_id, to, lock=False)
    trip = pricing.ask_trip(payment["trip_id"], payment["currency"])
    if trip is None:
        pricing.expect_below_ceiling(payment["amount"], payment["currency"])
        return payment
    priced = pricing.at_fare_of(payment, trip)
    expect_price(payment, priced)
    return priced


def lock(connection: Connection, payment_id: int, *, to: PaymentStatus) -> PaymentRow:
    """The payment as it stands, locked, still PENDING and due. Raises as `price`."""
    return _expect_payable(connection, payment_id, to, lock=True)


def at_price(standing: PaymentRow, priced: PaymentRow) -> PaymentRow:
    """The payment as it shall be: at that price, and with who rode."""
    return said_anew(standing, priced, _PRICE)


def said_anew(standing: PaymentRow, asked: PaymentRow, names: Iterable[str]) -> PaymentRow:
    """The payment with those of the named columns that `asked` says something of."""
    said: Mapping[str, object] = asked
    anew = {name: said[name] for name in names if said[name] is not None}
    return cast(PaymentRow, {**standing, **anew})


def expect_price(standing: PaymentRow, priced: PaymentRow) -> None:
    """Raises AmountMismatch unless the payment was created with that amount, or is history: that
    takes the fare."""
    if standing["imported"]:
        return
    if (standing["amount"], standing["currency"]) != (priced["amount"], priced["currency"]):
        stands, costs = _text(standing), _text(priced)
        raise AmountMismatch(
            f"payment {standing['payment_id']} was created with {stands}, and {costs} is to be"
            " charged; charge that amount, or cancel this payment first",
            {"amount": [f"the payment stands at {stands}"]},
            payment_id=standing["payment_id"],
            expected_amount=money.format_amount(standing["amount"], standing["currency"]),
            currency=standing["currency"],
        )


def rewrite(connection: Connection, standing: PaymentRow, asked: PaymentRow) -> PaymentRow:
    """Writes what is said anew of the locked payment, and gives it as it stands then: `standing`,
    with that taken from `asked`.

    A statement of its own: these columns change while a payment is PENDING and never again, so
    the one that writes each move leaves them out. The change of its status that follows in this
    transaction is planned from what is given here, and tells it; nobody is told of a rewriting
    alone.
    """
    said: Mapping[str, object] = asked
    anew = {name: said[name] for name in _SAID_ANEW}
    written = {name: value for name, value in anew.items() if name != "payment_token"}
    token = asked["payment_token"]
    if isinstance(token, str) and token != standing["payment_token"]:
        written |= {"token": tokens.secret(token, standing["reference"]), "payment_token": None}
    connection.execute(
        update(PAYMENT).where(PAYMENT.c.payment_id == standing["payment_id"]).values(written)
    )
    return cast(PaymentRow, {**standing, **anew})


def _expect_payable(
    connection: Connection, payment_id: int, to: PaymentStatus, *, lock: bool
) -> PaymentRow:
    payment = rows.read_payment(connection, payment_id, lock=lock)
    if payment is None:
        raise PaymentNotFound(f"there is no payment {payment_id}")
    if payment["status"] != PaymentStatus.PENDING:
        raise IllegalTransition(
            f"payment {payment_id} is {payment['status']}; only PENDING can become {to}",
            **{"from": payment["status"], "to": to},
        )
    due.expect_due(connection, payment)
    return payment


def _text(payment: PaymentRow) -> str:
    return money.with_code(payment["amount"], payment["currency"])
