"""The receipt of a payment with captured funds, in the form that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, bindparam, exists, not_, or_, select

from payment_service import rendering
from payment_service.config import settings
from payment_service.domain import money
from payment_service.domain.errors import PaymentNotFound, ReceiptNotAvailable
from payment_service.domain.fares import Fare
from payment_service.domain.receipts import Receipt, RefundLine
from payment_service.domain.vocabulary import CAPTURED, RefundStatus
from payment_service.queries import Listed, Query
from payment_service.services import reading
from payment_service.services.moves import refund_outcomes
from payment_service.services.moves.paid_twice import PAID_TWICE
from payment_service.services.moves.rows import PAYMENT, REFUND, TRANSACTION

_SAME = (
    *("reference", "payment_id", "method", "status", "currency", "amount", "captured", "refunded"),
    *("created_at", "caller_reference", "trip_id", "order_id", "rider_id", "driver_id", "user_id"),
    *("provider", "description"),
)
"""What a receipt says as the payment's row says it."""

_READ = Query(
    "read_receipt",
    select(
        *(PAYMENT.c[name] for name in (*_SAME, "captured_at", "fare")),
        reading.OF_PAYMENT.label("edition"),
    ).where(
        PAYMENT.c.payment_id == bindparam("id", type_=BigInteger, required=True), reading.MAY_SEE
    ),
    lists={
        "refunds": Listed(
            [
                *(REFUND.c.refund_id, REFUND.c.amount, REFUND.c.completed_at, REFUND.c.reason),
                *(REFUND.c.status, REFUND.c.updated_at),
            ],
            REFUND.c.payment_id == PAYMENT.c.payment_id,
            or_(
                REFUND.c.status == RefundStatus.SUCCESS,
                REFUND.c.failure_code == refund_outcomes.TAKEN_BACK,
            ),
            # What was paid twice, and went back, is beside what the receipt is about.
            not_(
                exists().where(
                    TRANSACTION.c.payment_id == REFUND.c.payment_id,
                    TRANSACTION.c.number == REFUND.c.transaction_number,
                    TRANSACTION.c.cause == PAID_TWICE,
                )
            ),
            order=[REFUND.c.completed_at, REFUND.c.refund_id],
        )
    },
    unless=reading.IS_KNOWN,
)
"""The payment and its refund lines as of one moment: a refund that comes in between two reads would
make lines that don't add up."""


def get(
    *, payment_id: int, known: Sequence[str] = (), rider: int | None = None
) -> tuple[str, Receipt | None]:
    """The receipt with its edition; None in its place if the reader knows that. A `rider` finds
    only that rider's own, without the reasons of refunds.

    Raises PaymentNotFound, ReceiptNotAvailable.
    """
    found = _READ.row(id=payment_id, known=list(known), rider=rider)
    if found is None:
        raise PaymentNotFound(f"there is no payment {payment_id}")
    if found["status"] not in CAPTURED:
        raise ReceiptNotAvailable(
            f"payment {payment_id} is {found['status']}: there is a receipt once it is captured",
            payment_status=found["status"],
        )
    if found["edition"] in known:
        return found["edition"], None
    zones: dict[str, Any] = _zones(found)
    receipt = Receipt(
        **zones,
        **{name: found[name] for name in _SAME},
        paid_at=found["captured_at"] or found["created_at"],
        fare=_fare(found),
        refunds=tuple(_line(reading.shown_refund(row, rider)) for row in found["refunds"]),
    )
    return found["edition"], receipt


def as_html(receipt: Receipt) -> str:
    return rendering.html(receipt, **style())


def as_pdf(receipt: Receipt) -> bytes:
    return rendering.pdf(receipt, **style())


def style() -> Mapping[str, Any]:
    """What a receipt's looks depend on beside the receipt: whose it is, and its reader's ways."""
    return {
        "locale": settings().receipt_locale,
        "timezone": settings().receipt_timezone,
        "issuer": settings().receipt_issuer,
    }


def _fare(payment: Mapping[str, Any]) -> Fare | None:
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


def _zones(payment: Mapping[str, Any]) -> dict[str, str]:
    """From where to where, if the trip said so when it was charged."""
    kept = payment["fare"] or {}
    return {name: kept[name] for name in ("pickup_zone", "drop_zone") if name in kept}


def _line(row: Mapping[str, Any]) -> RefundLine:
    return RefundLine(
        row["refund_id"],
        row["amount"],
        row["completed_at"],
        row["reason"],
        row["updated_at"] if row["status"] != RefundStatus.SUCCESS else None,
    )
