"""payment_totals and total_deltas: what /metrics tells, without scanning a table that grows."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import BigInteger, Column, Numeric, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.extensions import db

COUNTS = ("payments", "created", "entered", "captured", "refunds", "refunded")
"""`payments` is how many stand in the status now; the others only ever grow. `captured` and
`refunded` are minor units of the row's currency, numeric because a sum of bigints may be none."""

SUMS = ("captured", "refunded")


def _count() -> Mapped[int]:
    return mapped_column(BigInteger, server_default=text("0"))


def _sum() -> Mapped[Decimal]:
    return mapped_column(Numeric, server_default=text("0"))


def _type(name: str) -> BigInteger | Numeric[Decimal]:
    return Numeric() if name in SUMS else BigInteger()


class PaymentTotal(db.Model):  # type: ignore[name-defined]
    """The sums of all deltas, by provider, method, currency and status."""

    __tablename__ = "payment_totals"

    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    method: Mapped[str] = mapped_column(Text, primary_key=True)
    currency: Mapped[str] = mapped_column(Text, primary_key=True)
    status: Mapped[str] = mapped_column(Text, primary_key=True)
    payments: Mapped[int] = _count()
    created: Mapped[int] = _count()
    entered: Mapped[int] = _count()
    captured: Mapped[Decimal] = _sum()
    refunds: Mapped[int] = _count()
    refunded: Mapped[Decimal] = _sum()


# Written with the move that makes it; the worker folds and deletes it. A row of its own, so that
# charges never queue for one total's row lock; no key and no index, because nobody looks one up.
total_deltas = db.Table(
    "total_deltas",
    *(Column(name, Text, nullable=False) for name in ("provider", "method", "currency", "status")),
    *(Column(name, _type(name), nullable=False, server_default=text("0")) for name in COUNTS),
)
