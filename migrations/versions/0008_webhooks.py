"""Webhooks that came in, the last that were refused, and until when a look-up is under way."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"

TIME = postgresql.TIMESTAMP(timezone=True)

ACTS_BEFORE = "act IN ('logged_in', 'log_in_failed', 'log_in_delayed', 'logged_out', 'stepped_up', 'step_up_failed', 'session_ended', 'password_changed', 'second_factor_set', 'second_factor_used', 'second_factor_reset', 'recovery_code_used', 'invite_made', 'invite_used', 'operator_added', 'operator_role_changed', 'operator_disabled', 'operator_enabled', 'exported', 'approval_asked', 'approval_given', 'approval_refused', 'catalog_edited', 'deliveries_delivered', 'deliveries_skipped', 'settings_at_start', 'keys_rotated')"
ACTS = ACTS_BEFORE.replace("'deliveries_skipped', ", "'deliveries_skipped', 'webhook_replayed', ")
KEY_OF_BODY = sa.literal_column("split_part(encode(body, 'escape'), ':', 1)")


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("trust", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("headers", postgresql.JSON(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("last_received_at", TIME, nullable=False),
        sa.Column("deliveries", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=True),
        sa.Column("number", sa.SmallInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("processed_at", TIME, nullable=True),
        sa.CheckConstraint("trust IN ('SIGNED', 'UNSIGNED')", name=op.f("ck_webhooks_trust")),
        sa.CheckConstraint(
            "status IN ('RECEIVED', 'APPLIED', 'NO_NEWS', 'ORPHANED', 'MISMATCH', 'IGNORED', 'FAILED')",
            name=op.f("ck_webhooks_status"),
        ),
        sa.PrimaryKeyConstraint("webhook_id", name=op.f("pk_webhooks")),
        sa.UniqueConstraint("provider", "event_key", name=op.f("uq_webhooks_provider_event_key")),
    )
    op.create_index(
        "ix_webhooks_due_at",
        "webhooks",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_webhooks_payment_id",
        "webhooks",
        ["payment_id", "number"],
        unique=False,
        postgresql_where=sa.text("payment_id IS NOT NULL"),
    )
    op.create_index(
        "ix_webhooks_received_at", "webhooks", ["received_at", "webhook_id"], unique=False
    )
    op.create_index(
        "ix_webhooks_status", "webhooks", ["status", "received_at", "webhook_id"], unique=False
    )
    op.create_index("ix_webhooks_body_key", "webhooks", [KEY_OF_BODY], unique=False)
    op.create_table(
        "webhook_refusals",
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("slot", name=op.f("pk_webhook_refusals")),
        postgresql_with={"fillfactor": 50},
    )
    op.drop_constraint(op.f("ck_audit_log_act"), "audit_log", type_="check")
    op.create_check_constraint(op.f("ck_audit_log_act"), "audit_log", ACTS)
    # Last, because charges wait from here to the commit. Without a default: no row is written.
    op.add_column("transactions", sa.Column("leased_until", TIME, nullable=True))


def downgrade() -> None:
    op.drop_constraint(op.f("ck_audit_log_act"), "audit_log", type_="check")
    # Nobody may take an act out of the log: where there is one of these, rows are not asked.
    replayed = sa.text("SELECT EXISTS (SELECT FROM audit_log WHERE act = 'webhook_replayed')")
    op.create_check_constraint(
        op.f("ck_audit_log_act"),
        "audit_log",
        ACTS_BEFORE,
        postgresql_not_valid=op.get_bind().scalar(replayed),
    )
    op.drop_column("transactions", "leased_until")
    op.drop_table("webhook_refusals")
    op.drop_table("webhooks")
