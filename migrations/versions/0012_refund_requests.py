"""Refunds that one operator asks for and another one decides on. What ran before knows none, and
none is asked for before all that run know them: its `flask audit verify` would not count them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"

TIME = postgresql.TIMESTAMP(timezone=True)
OPEN = sa.text("state = 'OPEN'")

ACTS_BEFORE = "act IN ('logged_in', 'log_in_failed', 'log_in_delayed', 'logged_out', 'stepped_up', 'step_up_failed', 'session_ended', 'password_changed', 'second_factor_set', 'second_factor_used', 'second_factor_reset', 'recovery_code_used', 'invite_made', 'invite_used', 'operator_added', 'operator_role_changed', 'operator_disabled', 'operator_enabled', 'exported', 'approval_asked', 'approval_given', 'approval_refused', 'catalog_edited', 'deliveries_delivered', 'deliveries_skipped', 'webhook_replayed', 'note_added', 'settings_at_start', 'keys_rotated')"
NEW_ACTS = "'approval_withdrawn', 'approval_lapsed'"
ACTS = ACTS_BEFORE.replace("'approval_refused', ", f"'approval_refused', {NEW_ACTS}, ")


def upgrade() -> None:
    op.create_table(
        "refund_requests",
        sa.Column("request_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("state", sa.Text(), server_default="OPEN", nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", TIME, nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("refund_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('OPEN', 'APPROVED', 'DECLINED', 'WITHDRAWN', 'LAPSED')",
            name=op.f("ck_refund_requests_state"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_refund_requests_amount")),
        sa.CheckConstraint(
            "(state = 'OPEN') = (decided_by IS NULL) AND (state = 'OPEN') = (decided_at IS NULL)",
            name=op.f("ck_refund_requests_decided"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('APPROVED', 'DECLINED') OR decided_by <> asked_by",
            name=op.f("ck_refund_requests_four_eyes"),
        ),
        sa.CheckConstraint(
            "state <> 'WITHDRAWN' OR decided_by = asked_by",
            name=op.f("ck_refund_requests_own_withdrawn"),
        ),
        sa.CheckConstraint(
            "(state = 'APPROVED') = (refund_id IS NOT NULL)",
            name=op.f("ck_refund_requests_refund"),
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"],
            ["payments.payment_id"],
            name=op.f("fk_refund_requests_payment_id_payments"),
        ),
        sa.ForeignKeyConstraint(
            ["refund_id"], ["refunds.refund_id"], name=op.f("fk_refund_requests_refund_id_refunds")
        ),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_refund_requests")),
    )
    op.create_index(
        "uq_refund_requests_open",
        "refund_requests",
        ["payment_id"],
        unique=True,
        postgresql_where=OPEN,
    )
    op.create_index("uq_refund_requests_refund_id", "refund_requests", ["refund_id"], unique=True)
    op.create_index(
        "ix_refund_requests_payment_id", "refund_requests", ["payment_id", "request_id"]
    )
    op.create_index("ix_refund_requests_asked_by", "refund_requests", ["asked_by", "request_id"])
    op.create_index(
        "ix_refund_requests_expires_at", "refund_requests", ["expires_at"], postgresql_where=OPEN
    )
    op.drop_constraint(op.f("ck_audit_log_act"), "audit_log", type_="check")
    op.create_check_constraint(op.f("ck_audit_log_act"), "audit_log", ACTS)


def downgrade() -> None:
    # What they hold of payments' refund_pending would be held for ever.
    waiting = sa.text("SELECT EXISTS (SELECT FROM refund_requests WHERE state = 'OPEN')")
    if op.get_bind().scalar(waiting):
        raise RuntimeError("refund requests are OPEN: have them declined or withdrawn first")
    op.drop_constraint(op.f("ck_audit_log_act"), "audit_log", type_="check")
    # Nobody may take an act out of the log: where there is one of these, rows are not asked.
    there = sa.text(f"SELECT EXISTS (SELECT FROM audit_log WHERE act IN ({NEW_ACTS}))")  # noqa: S608
    op.create_check_constraint(
        op.f("ck_audit_log_act"),
        "audit_log",
        ACTS_BEFORE,
        postgresql_not_valid=op.get_bind().scalar(there),
    )
    op.drop_table("refund_requests")
