"""The receipt of a payment with captured funds, in the form that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import or_, select

from payment_service import rendering
from payment_service.config import settings
from payment_service.domain import money
from payment_service.domain.errors import PaymentNotFound, ReceiptNotAvailable
from payment_service.domain.fares import Fare
from payment_service.domain.receipts import Receipt, RefundLine
from payment_service.domain.vocabulary import CAPTURED, RefundStatus
from payment_service.extensions import db
from payment_service.services.moves import refund_outcomes, rows
from payment_service.services.moves.rows import REFUND, PaymentRow


def get(*, payment_id: int) -> Receipt:
    """The receipt. Raises PaymentNotFound, ReceiptNotAvailable."""
    payment, refunds = _read(payment_id)
    if payment["status"] not in CAPTURED:
        raise ReceiptNotAvailable(
            f"payment {payment_id} is {payment['status']}: there is a receipt once it is captured",
            payment_status=payment["status"],
        )
    same = (
        "reference payment_id method status currency amount captured refunded created_at"
        " caller_reference trip_id order_id rider_id driver_id user_id provider description"
    )
    zones: dict[str, Any] = _zones(payment)
    row: Mapping[str, Any] = payment
    return Receipt(
        **zones,
        **{name: row[name] for name in same.split()},
        paid_at=payment["captured_at"] or payment["created_at"],
        fare=_fare(payment),
        refunds=refunds,
    )


def as_html(receipt: Receipt) -> str:
    return rendering.html(receipt, **_style())


def as_pdf(receipt: Receipt) -> bytes:
    return rendering.pdf(receipt, **_style())


def _style() -> Mapping[str, Any]:
    return {
        "locale": settings().receipt_locale,
        "timezone": settings().receipt_timezone,
        "issuer": settings().receipt_issuer,
    }


def _fare(payment: PaymentRow) -> Fare | None:
    """The fare as it was when it was charged; the trip may have changed since."""
    kept = payment["fare"]
    if kept is None:
        return None
    parts = {
        name: Decimal(kept[name])
        for name in ("distance_km", "base_fare", "rate_per_km", "surge_multiplier")
        if name in kept
    }
    total = money.parse_amount(kept["total_fare"], payment["currency"])
    return Fare(total=total, currency=payment["currency"], **parts)


def _zones(payment: PaymentRow) -> dict[str, str]:
    """From where to where, if the trip said so when it was charged."""
    kept = payment["fare"] or {}
    return {name: kept[name] for name in ("pickup_zone", "drop_zone") if name in kept}


def _read(payment_id: int) -> tuple[PaymentRow, tuple[RefundLine, ...]]:
    """The payment and its refund lines as of one moment: a refund that comes in between two reads
    would make lines that don't add up."""
    given = or_(
        REFUND.c.status == RefundStatus.SUCCESS,
        REFUND.c.failure_code == refund_outcomes.TAKEN_BACK,
    )
    query = (
        select(REFUND)
        .where(REFUND.c.payment_id == payment_id, given)
        .order_by(REFUND.c.completed_at, REFUND.c.refund_id)
    )
    with db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        payment = rows.read_payment(connection, payment_id)
        refunds = connection.execute(query).all()
    if payment is None:
        raise PaymentNotFound(f"there is no payment {payment_id}")
    return payment, tuple(map(_line, refunds))


def _line(row: Any) -> RefundLine:
    taken_back = row.updated_at if row.status != RefundStatus.SUCCESS else None
    return RefundLine(row.refund_id, row.amount, row.completed_at, row.reason, taken_back)
