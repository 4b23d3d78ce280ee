"""operators: who uses the panel; their invites, their sessions, and their tries to log in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.domain.operators import Ended, How, InvitePurpose, Numbers, Role, Theme
from payment_service.extensions import db
from payment_service.models import columns
from payment_service.models.columns import Encrypted, Sealed, Secret


class Operator(db.Model):  # type: ignore[name-defined]
    """Who comes by single sign-on is known by `issuer` and `subject`, and his e-mail, if there is
    one, is only shown. All others are known by their e-mail, and have a `password_hash` once they
    have used their invite.

    `totp_secret` is the second factor, and `totp_last_step` the last step of 30 s whose code was
    taken; `totp_next` is one that is being set up. Recovery hashes are SHA-256 of codes of 120
    random bits, each taken out as it is used.
    """

    __tablename__ = "operators"

    operator_id: Mapped[int] = columns.identity_key()
    email: Mapped[str | None] = columns.optional_text()
    name: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str | None] = columns.optional_text()
    totp_secret: Mapped[Sealed | Secret | None] = mapped_column(
        Encrypted("operators.totp_secret", key="operator_id")
    )
    totp_next: Mapped[Sealed | Secret | None] = mapped_column(
        Encrypted("operators.totp_next", key="operator_id")
    )
    totp_last_step: Mapped[int | None] = mapped_column(BigInteger)
    recovery_hashes: Mapped[list[bytes]] = mapped_column(
        ARRAY(LargeBinary), server_default=text("'{}'")
    )
    issuer: Mapped[str | None] = columns.optional_text()
    subject: Mapped[str | None] = columns.optional_text()
    timezone: Mapped[str] = mapped_column(Text, server_default="UTC")
    theme: Mapped[str] = mapped_column(Text, server_default=Theme.AUTO)
    numbers: Mapped[str] = mapped_column(Text, server_default=Numbers.RECEIPT)
    active: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(columns.UTCTime, server_default=text("now()"))
    last_login_at: Mapped[datetime | None] = columns.optional_moment()

    __table_args__ = (
        Index("uq_operators_email", "email", unique=True, postgresql_where=text("issuer IS NULL")),
        UniqueConstraint("issuer", "subject"),
        CheckConstraint("email = lower(email)", name="email"),
        CheckConstraint(columns.one_of("role", Role), name="role"),
        CheckConstraint(columns.one_of("theme", Theme), name="theme"),
        CheckConstraint(columns.one_of("numbers", Numbers), name="numbers"),
        CheckConstraint("(issuer IS NULL) = (subject IS NULL)", name="identity"),
        CheckConstraint("issuer IS NOT NULL OR email IS NOT NULL", name="known"),
        CheckConstraint("issuer IS NULL OR password_hash IS NULL", name="one_way_in"),
        CheckConstraint("(totp_secret IS NULL) = (totp_last_step IS NULL)", name="second_factor"),
        columns.key_index("operators", "totp_secret"),
        columns.key_index("operators", "totp_next"),
    )


class OperatorInvite(db.Model):  # type: ignore[name-defined]
    """A link that was given out, by the SHA-256 of what stands in it. Used once, until it expires,
    and only the last one of an operator: another one makes it expire at once."""

    __tablename__ = "operator_invites"

    invite_id: Mapped[int] = columns.identity_key()
    operator_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("operators.operator_id"), index=True
    )
    token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    purpose: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(columns.UTCTime, server_default=text("now()"))
    expires_at: Mapped[datetime] = columns.moment()
    used_at: Mapped[datetime | None] = columns.optional_moment()

    __table_args__ = (
        UniqueConstraint("token_hash"),
        CheckConstraint(columns.one_of("purpose", InvitePurpose), name="purpose"),
    )


class OperatorSession(db.Model):  # type: ignore[name-defined]
    """A browser that an operator is logged in with, by the SHA-256 of what its cookie holds."""

    __tablename__ = "operator_sessions"

    session_id: Mapped[int] = columns.identity_key()
    token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    operator_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operators.operator_id"))
    how: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(columns.UTCTime, server_default=text("now()"))
    seen_at: Mapped[datetime] = mapped_column(columns.UTCTime, server_default=text("now()"))
    stepped_up_at: Mapped[datetime | None] = columns.optional_moment()
    ended_at: Mapped[datetime | None] = columns.optional_moment()
    ended_why: Mapped[str | None] = columns.optional_text()
    address: Mapped[str] = mapped_column(Text)
    agent: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        UniqueConstraint("token_hash"),
        CheckConstraint(columns.one_of("how", How), name="how"),
        CheckConstraint("(ended_at IS NULL) = (ended_why IS NULL)", name="ended"),
        CheckConstraint(columns.one_of("ended_why", Ended), name="ended_why"),
        Index("ix_operator_sessions_operator_id", "operator_id", "created_at"),
    )


class LogInTry(db.Model):  # type: ignore[name-defined]
    """A password or a code that was sent and was not right, or is being looked at. Kept for an
    hour. `account` is an operator's id, or a short hash of a name that nobody has; `waits` the
    seconds until the next try of the same account and network is looked at. `told` says that the
    audit log has it that somebody had to wait for it."""

    __tablename__ = "log_in_tries"

    try_id: Mapped[int] = columns.identity_key()
    account: Mapped[str] = mapped_column(Text)
    network: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(columns.UTCTime, server_default=text("now()"))
    waits: Mapped[float] = mapped_column(Float, server_default=text("0"))
    told: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))

    __table_args__ = (
        Index("ix_log_in_tries_account_at", "account", "at"),
        Index("ix_log_in_tries_network_at", "network", "at"),
        Index("ix_log_in_tries_at", "at"),
    )


class UsedState(db.Model):  # type: ignore[name-defined]
    """The `state` of a single sign-on that came back, by its SHA-256: it is good once. Kept for a
    day, longer than the cookie that it must agree with."""

    __tablename__ = "used_states"

    state_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    used_at: Mapped[datetime] = mapped_column(columns.UTCTime, server_default=text("now()"))
