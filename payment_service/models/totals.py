"""payment_totals, payment_days, payment_hours and the total_deltas they are made of: what /metrics
and the desk tell, without scanning a table that grows."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Column, Date, Numeric, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.extensions import db
from payment_service.models.columns import UTCTime

COUNTS = ("payments", "created", "entered", "captured", "refunds", "refunded")
"""`payments` is how many stand in the status now; the others only ever grow. `captured` and
`refunded` are minor units of the row's currency, numeric because a sum of bigints may be none."""

STANDING = ("payments", "captured_now", "refunded_now")
"""What stands in a status now: payments, and what of them is captured and was given back. They
leave a status with the payment, so they can be counted anew from payments at any time."""

SUMS = ("captured", "refunded", "captured_now", "refunded_now")


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


class PaymentDay(db.Model):  # type: ignore[name-defined]
    """What stands of the payments that were made on a day of BUSINESS_TIMEZONE, whenever it moved
    there. A row may be all zeros: everything has left it."""

    __tablename__ = "payment_days"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    method: Mapped[str] = mapped_column(Text, primary_key=True)
    currency: Mapped[str] = mapped_column(Text, primary_key=True)
    status: Mapped[str] = mapped_column(Text, primary_key=True)
    payments: Mapped[int] = _count()
    captured_now: Mapped[Decimal] = _sum()
    refunded_now: Mapped[Decimal] = _sum()


class PaymentHour(db.Model):  # type: ignore[name-defined]
    """The same by hour, of eight days. `hour` is the moment at which it begins on the clocks of
    BUSINESS_TIMEZONE: half past, in UTC, where the zone is half an hour off."""

    __tablename__ = "payment_hours"

    hour: Mapped[datetime] = mapped_column(UTCTime, primary_key=True)
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    method: Mapped[str] = mapped_column(Text, primary_key=True)
    currency: Mapped[str] = mapped_column(Text, primary_key=True)
    status: Mapped[str] = mapped_column(Text, primary_key=True)
    payments: Mapped[int] = _count()
    captured_now: Mapped[Decimal] = _sum()
    refunded_now: Mapped[Decimal] = _sum()


# Written with the move that makes it; the worker folds and deletes it. A row of its own, so that
# charges never queue for one total's row lock; no key and no index, because nobody looks one up.
total_deltas = db.Table(
    "total_deltas",
    *(Column(name, Text, nullable=False) for name in ("provider", "method", "currency", "status")),
    *(Column(name, _type(name), nullable=False, server_default=text("0")) for name in COUNTS),
    # When the payment was made. Null where the code before 0011 wrote it: no day counts that.
    Column("at", UTCTime),
    *(
        Column(name, _type(name), nullable=False, server_default=text("0"))
        for name in STANDING
        if name not in COUNTS
    ),
)
