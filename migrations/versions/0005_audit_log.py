"""The audit log: acts that are no payment's, in one chain; digests say how many there were."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

# The function is that of the events, from the first migration.
APPEND_ONLY = """
    CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("audit_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("session_id", sa.BigInteger(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "act IN ('logged_in', 'log_in_failed', 'log_in_delayed', 'logged_out', 'stepped_up', 'step_up_failed', 'session_ended', 'password_changed', 'second_factor_set', 'second_factor_used', 'second_factor_reset', 'recovery_code_used', 'invite_made', 'invite_used', 'operator_added', 'operator_role_changed', 'operator_disabled', 'operator_enabled', 'exported', 'approval_asked', 'approval_given', 'approval_refused', 'catalog_edited', 'deliveries_delivered', 'deliveries_skipped', 'settings_at_start', 'keys_rotated')",
            name=op.f("ck_audit_log_act"),
        ),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at", "audit_id"], unique=False)
    op.execute(APPEND_ONLY)
    op.add_column("audit_digests", sa.Column("acts", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("audit_digests", "acts")
    op.drop_table("audit_log")
