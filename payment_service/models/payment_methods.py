"""provider_customers, method_setups, payment_methods: who a customer is at each provider, and what
it has saved there."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.domain.vocabulary import MethodStatus, SetupStatus
from payment_service.extensions import db
from payment_service.models import columns
from payment_service.models.columns import Encrypted, Sealed, Secret


class ProviderCustomer(db.Model):  # type: ignore[name-defined]
    """Written before the provider is asked, so that whoever dies on the way leaves what must be
    erased there; `provider_customer_id` is null until an answer named it.

    What is saved is compared with the provider at `due_at`. Whoever does it writes only if
    `version` is still the one that its own lease made.
    """

    __tablename__ = "provider_customers"

    customer_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("customers.customer_id"), primary_key=True, autoincrement=False
    )
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    account: Mapped[str] = mapped_column(Text, primary_key=True, server_default=text("''"))
    provider_customer_id: Mapped[str | None] = columns.optional_text()
    version: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    due_at: Mapped[datetime | None] = columns.optional_moment()
    created_at: Mapped[datetime] = columns.moment()
    erase_asked_at: Mapped[datetime | None] = columns.optional_moment()
    erased_at: Mapped[datetime | None] = columns.optional_moment()

    __table_args__ = (
        UniqueConstraint("provider", "account", "provider_customer_id"),
        CheckConstraint("erased_at IS NULL OR erase_asked_at IS NOT NULL", name="erased"),
        CheckConstraint(
            "erase_asked_at IS NULL OR erased_at IS NOT NULL OR due_at IS NOT NULL", name="due"
        ),
        Index("ix_provider_customers_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )


class MethodSetup(db.Model):  # type: ignore[name-defined]
    """A payer was asked to bring a method."""

    __tablename__ = "method_setups"

    setup_id: Mapped[int] = columns.identity_key()
    customer_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("customers.customer_id"))
    provider: Mapped[str] = mapped_column(Text)
    account: Mapped[str] = mapped_column(Text, server_default=text("''"))
    provider_setup_id: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = columns.moment()

    __table_args__ = (
        CheckConstraint(columns.one_of("status", SetupStatus), name="status"),
        UniqueConstraint("provider", "account", "provider_setup_id"),
        Index("ix_method_setups_open", "customer_id", postgresql_where=text("status = 'OPEN'")),
    )


class PaymentMethod(db.Model):  # type: ignore[name-defined]
    """What a customer saved at a provider. `token_mark` is the SHA-256 of the token, which is long
    and random, so that one method is one row whoever finds it."""

    __tablename__ = "payment_methods"

    payment_method_id: Mapped[int] = columns.identity_key()
    customer_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("customers.customer_id"))
    provider: Mapped[str] = mapped_column(Text)
    account: Mapped[str] = mapped_column(Text, server_default=text("''"))
    token: Mapped[Sealed | Secret | None] = mapped_column(
        Encrypted("payment_methods.token", "payment_method_id")
    )
    token_mark: Mapped[bytes] = mapped_column(LargeBinary)
    kind: Mapped[str] = mapped_column(Text)
    brand: Mapped[str | None] = columns.optional_text()
    last4: Mapped[str | None] = columns.optional_text()
    exp_month: Mapped[int | None] = mapped_column(SmallInteger)
    exp_year: Mapped[int | None] = mapped_column(SmallInteger)
    fingerprint: Mapped[str | None] = columns.optional_text()
    is_default: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    status: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = columns.moment()
    updated_at: Mapped[datetime] = columns.moment()

    __table_args__ = (
        CheckConstraint(columns.one_of("status", MethodStatus), name="status"),
        CheckConstraint("status = 'DETACHED' OR token IS NOT NULL", name="token"),
        CheckConstraint("NOT is_default OR status <> 'DETACHED'", name="default"),
        CheckConstraint("last4 ~ '^[0-9]{4}$'", name="last4"),
        UniqueConstraint("provider", "account", "token_mark"),
        Index("ix_payment_methods_customer", "customer_id"),
        Index(
            "uq_payment_methods_default",
            "customer_id",
            unique=True,
            postgresql_where=text("is_default"),
        ),
        columns.key_index("payment_methods", "token", sparse=True),
    )
