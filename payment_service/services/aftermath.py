"""What an operator is told after an act: in the words of domain/explanations."""

from __future__ import annotations

from sqlalchemy import select

from payment_service.domain.around import Written
from payment_service.domain.explanations import Explanation
from payment_service.extensions import db
from payment_service.services import explanations
from payment_service.services.moves.answers import Ended, Ending
from payment_service.services.moves.rows import REFUND

AGAIN = "This form was sent before, and nothing was done twice."


def tell(ended: Ended, *, payment_id: int, written: Written) -> str:
    """How the act on the payment ended, or stands, `written` for whoever reads."""
    if isinstance(ended, Ending):
        number = ended.request["number"] if ended.request else None
        definite, again = ended.definite, ended.replayed
    else:
        number, definite, again = ended.number, True, True
    told = _explained(payment_id, number, written)
    said = told.happened if definite else _not_known(told, written)
    return f"{AGAIN} {said}" if again else said


def tell_standing(*, payment_id: int, again: bool, written: Written) -> str:
    """How the payment stands after what asked no provider."""
    said = explanations.explain(payment_id=payment_id, written=written).payment.happened
    return f"{AGAIN} {said}" if again else said


def _not_known(told: Explanation, written: Written) -> str:
    if told.next_at is None:
        return f"{told.happened} {told.do}"
    at = told.next_at.astimezone(written.zone)
    return (
        f"Asked, and not known yet how it ended. Do not repeat it: we look it up at {at:%H:%M:%S}."
    )


def _explained(payment_id: int, number: int | None, written: Written) -> Explanation:
    """Of the refund that the request was about, or of the payment."""
    found = explanations.explain(payment_id=payment_id, written=written)
    query = select(REFUND.c.refund_id).where(
        REFUND.c.payment_id == payment_id, REFUND.c.transaction_number == number
    )
    with db.engine.connect() as connection:
        refund_id = connection.execute(query).scalar_one_or_none() if number else None
    return found.refunds.get(refund_id, found.payment) if refund_id else found.payment
