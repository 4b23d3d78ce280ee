"""customers: who pays again and again, one row for each user of the company's own."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.extensions import db
from payment_service.models import columns
from payment_service.models.columns import Encrypted, Sealed, Secret


class Customer(db.Model):  # type: ignore[name-defined]
    """`user_id` is the rider's number. `name`, `email` and `phone` are personal, so encrypted; by
    `email_lookup` and `phone_lookup`, HMACs of them under LOOKUP_HMAC_KEY, a row is found.

    An erased one stays as an empty row, so that its number is nobody else's; its user may come back
    and is then somebody new.
    """

    __tablename__ = "customers"

    customer_id: Mapped[int] = columns.identity_key()
    user_id: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    name: Mapped[Sealed | Secret | None] = mapped_column(Encrypted("customers.name", "customer_id"))
    email: Mapped[Sealed | Secret | None] = mapped_column(
        Encrypted("customers.email", "customer_id")
    )
    phone: Mapped[Sealed | Secret | None] = mapped_column(
        Encrypted("customers.phone", "customer_id")
    )
    email_lookup: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_lookup: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = columns.moment()
    updated_at: Mapped[datetime] = columns.moment()
    erased_at: Mapped[datetime | None] = columns.optional_moment()

    __table_args__ = (
        CheckConstraint("(erased_at IS NULL) = (user_id IS NOT NULL)", name="user"),
        CheckConstraint(
            "erased_at IS NULL OR num_nonnulls(name, email, phone, email_lookup, phone_lookup) = 0",
            name="erased",
        ),
        CheckConstraint("(email IS NULL) = (email_lookup IS NULL)", name="email"),
        CheckConstraint("(phone IS NULL) = (phone_lookup IS NULL)", name="phone"),
        *(
            Index(
                f"ix_customers_{name}_lookup",
                f"{name}_lookup",
                postgresql_where=text(f"{name}_lookup IS NOT NULL"),
            )
            for name in ("email", "phone")
        ),
        *(columns.key_index("customers", name, sparse=True) for name in ("name", "email", "phone")),
    )
