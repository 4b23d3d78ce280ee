"""A payment as it stands, and the refusals that say what is in the way of a step."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from payment_service.domain import money
from payment_service.domain.errors import (
    IllegalTransition,
    NotRefundable,
    PaymentDisputed,
    PaymentNotFound,
)
from payment_service.domain.four_eyes import PaymentChanged
from payment_service.domain.vocabulary import CAPTURED
from payment_service.services.moves import rows
from payment_service.services.moves.rows import PaymentRow

Condition = Callable[[Connection, PaymentRow], None]
"""What else must hold of the locked payment: raises if it does not. It runs in the transaction of
the step, and may write there, too."""


def read(connection: Connection, payment_id: int, *, lock: bool = False) -> PaymentRow:
    """The payment as it stands. Raises PaymentNotFound."""
    payment = rows.read_payment(connection, payment_id, lock=lock)
    if payment is None:
        raise PaymentNotFound(f"there is no payment {payment_id}")
    return payment


def expect_version(payment: PaymentRow, version: int | None) -> None:
    """Raises PaymentChanged if the payment is not of the version that somebody saw, if one is
    said."""
    if version is not None and payment["version"] != version:
        raise PaymentChanged(
            f"Payment {payment['payment_id']} changed since you saw it. Nothing was done; look at"
            " it, and ask again."
        )


def illegal(payment: PaymentRow, wanted: str) -> IllegalTransition:
    """The refusal of a status that can't be reached this way."""
    return IllegalTransition(
        f"a payment can't go from {payment['status']} to {wanted} this way",
        **{"from": payment["status"], "to": str(wanted)},
    )


def expect_captured(payment: PaymentRow) -> None:
    """Raises NotRefundable or PaymentDisputed if no money of it can be given back here now."""
    payment_id = payment["payment_id"]
    if payment["status"] not in CAPTURED:
        raise NotRefundable(
            f"payment {payment_id} is {payment['status']}; only captured funds can be given back",
            payment_status=payment["status"],
        )
    if rows.is_history(payment):
        raise NotRefundable(f"payment {payment_id} was imported: its provider is not known here")
    if payment["disputed"]:
        raise PaymentDisputed(
            f"payment {payment_id} is in dispute; ask again when that has ended",
            amount_disputed=money.format_amount(payment["disputed"], payment["currency"]),
        )
