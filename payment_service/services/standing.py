"""A payment as it stands, and the refusals that say what is in the way of a step."""

from __future__ import annotations

from sqlalchemy import Connection

from payment_service.domain.errors import IllegalTransition, PaymentNotFound
from payment_service.services.moves import rows
from payment_service.services.moves.rows import PaymentRow


def read(connection: Connection, payment_id: int, *, lock: bool = False) -> PaymentRow:
    """The payment as it stands. Raises PaymentNotFound."""
    payment = rows.read_payment(connection, payment_id, lock=lock)
    if payment is None:
        raise PaymentNotFound(f"there is no payment {payment_id}")
    return payment


def illegal(payment: PaymentRow, wanted: str) -> IllegalTransition:
    """The refusal of a status that can't be reached this way."""
    return IllegalTransition(
        f"a payment can't go from {payment['status']} to {wanted} this way",
        **{"from": payment["status"], "to": str(wanted)},
    )
