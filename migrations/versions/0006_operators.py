"""Operators of the panel: who they are, their invites and sessions, and their tries to log in."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"

TIME = postgresql.TIMESTAMP(timezone=True)


def key_of(column: str) -> sa.ColumnElement[str]:
    """The id of the key that an encrypted column's row needs."""
    return sa.literal_column(f"split_part(encode({column}, 'escape'), ':', 1)")


def upgrade() -> None:
    op.create_table(
        "operators",
        sa.Column("operator_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("totp_secret", sa.LargeBinary(), nullable=True),
        sa.Column("totp_next", sa.LargeBinary(), nullable=True),
        sa.Column("totp_last_step", sa.BigInteger(), nullable=True),
        sa.Column(
            "recovery_hashes",
            postgresql.ARRAY(sa.LargeBinary()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("timezone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("theme", sa.Text(), server_default="auto", nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("last_login_at", TIME, nullable=True),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_operators_email")),
        sa.CheckConstraint(
            "role IN ('viewer', 'operator', 'approver', 'admin')", name=op.f("ck_operators_role")
        ),
        sa.CheckConstraint("theme IN ('auto', 'light', 'dark')", name=op.f("ck_operators_theme")),
        sa.CheckConstraint(
            "(issuer IS NULL) = (subject IS NULL)", name=op.f("ck_operators_identity")
        ),
        sa.CheckConstraint(
            "issuer IS NOT NULL OR email IS NOT NULL", name=op.f("ck_operators_known")
        ),
        sa.CheckConstraint(
            "issuer IS NULL OR password_hash IS NULL", name=op.f("ck_operators_one_way_in")
        ),
        sa.CheckConstraint(
            "(totp_secret IS NULL) = (totp_last_step IS NULL)",
            name=op.f("ck_operators_second_factor"),
        ),
        sa.PrimaryKeyConstraint("operator_id", name=op.f("pk_operators")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_operators_issuer_subject")),
    )
    op.create_index(
        "uq_operators_email",
        "operators",
        ["email"],
        unique=True,
        postgresql_where=sa.text("issuer IS NULL"),
    )
    for column in ("totp_secret", "totp_next"):
        op.create_index(f"ix_operators_{column}_key", "operators", [key_of(column)], unique=False)
    op.create_table(
        "operator_invites",
        sa.Column("invite_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("used_at", TIME, nullable=True),
        sa.CheckConstraint(
            "purpose IN ('join', 'password')", name=op.f("ck_operator_invites_purpose")
        ),
        sa.ForeignKeyConstraint(
            ["operator_id"],
            ["operators.operator_id"],
            name=op.f("fk_operator_invites_operator_id_operators"),
        ),
        sa.PrimaryKeyConstraint("invite_id", name=op.f("pk_operator_invites")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_operator_invites_token_hash")),
    )
    op.create_index(
        "ix_operator_invites_operator_id", "operator_invites", ["operator_id"], unique=False
    )
    op.create_table(
        "operator_sessions",
        sa.Column("session_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("seen_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("stepped_up_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("ended_why", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "how IN ('password', 'invite', 'code', 'recovery', 'sso')",
            name=op.f("ck_operator_sessions_how"),
        ),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (ended_why IS NULL)", name=op.f("ck_operator_sessions_ended")
        ),
        sa.CheckConstraint(
            "ended_why IN ('log-out', 'replaced', 'by operator', 'by admin', 'disabled', 'role', 'password', 'second factor', 'restored')",
            name=op.f("ck_operator_sessions_ended_why"),
        ),
        sa.ForeignKeyConstraint(
            ["operator_id"],
            ["operators.operator_id"],
            name=op.f("fk_operator_sessions_operator_id_operators"),
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_operator_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_operator_sessions_token_hash")),
    )
    op.create_index(
        "ix_operator_sessions_operator_id",
        "operator_sessions",
        ["operator_id", "created_at"],
        unique=False,
    )
    op.create_table(
        "log_in_tries",
        sa.Column("try_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("waits", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("told", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("try_id", name=op.f("pk_log_in_tries")),
    )
    op.create_index("ix_log_in_tries_account_at", "log_in_tries", ["account", "at"], unique=False)
    op.create_index("ix_log_in_tries_network_at", "log_in_tries", ["network", "at"], unique=False)
    op.create_index("ix_log_in_tries_at", "log_in_tries", ["at"], unique=False)
    op.create_table(
        "used_states",
        sa.Column("state_hash", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_used_states")),
    )


def downgrade() -> None:
    for table in (
        "used_states",
        "log_in_tries",
        "operator_sessions",
        "operator_invites",
        "operators",
    ):
        op.drop_table(table)
