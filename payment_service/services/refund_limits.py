"""What one operator may give back alone: up to FOUR_EYES_ABOVE of a payment, whoever of them it
was, and up to OPERATOR_DAILY_LIMIT on a day of BUSINESS_TIMEZONE."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, exists, func, select

from payment_service.config import settings
from payment_service.domain import four_eyes, money
from payment_service.domain.operators import operator_name
from payment_service.domain.vocabulary import RefundStatus
from payment_service.services import totals
from payment_service.services.moves.refund_holds import REQUEST
from payment_service.services.moves.rows import REFUND, PaymentRow

OPERATORS = operator_name(0).removesuffix("0")
"""How the names of all operators begin."""

_SUM = select(func.coalesce(func.sum(REFUND.c.amount), 0)).where(
    REFUND.c.status != RefundStatus.FAILED
)


def why_not_alone(
    connection: Connection, *, payment: PaymentRow, amount: int, operator: str
) -> str | None:
    """Why a second person must approve that `operator` gives back `amount` (minor units) of the
    payment; None if nobody has to. It is sure as long as payment and operator are locked."""
    currency = payment["currency"]
    above = settings().four_eyes_above.of(currency)
    if four_eyes.is_over(above, _of_payment(connection, payment), amount, currency):
        if not above:
            return f"What operators give back in {currency} always needs a second person."
        return (
            "What operators give back of one payment needs a second person above"
            f" {above} {currency}."
        )
    daily = settings().operator_daily_limit.of(currency)
    if daily is None:
        return None
    spent = _of_day(connection, currency, operator)
    if four_eyes.is_over(daily, spent, amount, currency):
        given = money.format_amount(spent, currency)
        return (
            f"You gave back {given} {currency} alone today; above {daily} {currency} a second"
            " person must approve."
        )
    return None


def _of_payment(connection: Connection, payment: PaymentRow) -> int:
    """All that operators gave back of it, alone or not, or are about to."""
    query = _SUM.where(
        REFUND.c.payment_id == payment["payment_id"], REFUND.c.caller.startswith(OPERATORS)
    )
    return int(connection.execute(query).scalar_one())


def _of_day(connection: Connection, currency: str, operator: str) -> int:
    """What the operator gave back alone since the day began."""
    begins = four_eyes.day_begins(datetime.now(UTC), ZoneInfo(totals.zone()))
    query = _SUM.where(
        REFUND.c.created_at >= begins,
        REFUND.c.caller == operator,
        REFUND.c.currency == currency,
        ~exists().where(REQUEST.c.refund_id == REFUND.c.refund_id),
    )
    return int(connection.execute(query).scalar_one())
