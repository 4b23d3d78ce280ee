"""Disputes, what they moved, and what of a payment is in dispute or lost by it. Code of before knows
none of it, and refunds as before: so nothing is in dispute until that is gone."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"

TIME = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    # Null where nothing ever was in dispute: the events of before say nothing of these columns.
    op.add_column("payments", sa.Column("disputed", sa.BigInteger(), nullable=True))
    op.add_column("payments", sa.Column("charged_back", sa.BigInteger(), nullable=True))
    op.create_table(
        "disputes",
        sa.Column("dispute_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_dispute_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("evidence_due_at", TIME, nullable=True),
        sa.Column("submissions", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("closed_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=True),
        sa.CheckConstraint("kind IN ('INQUIRY', 'CHARGEBACK')", name=op.f("ck_disputes_kind")),
        sa.CheckConstraint(
            "status IN ('NEEDS_RESPONSE', 'UNDER_REVIEW', 'WON', 'LOST', 'CLOSED')",
            name=op.f("ck_disputes_status"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_disputes_amount")),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.payment_id"], name=op.f("fk_disputes_payment_id_payments")
        ),
        sa.PrimaryKeyConstraint("dispute_id", name=op.f("pk_disputes")),
    )
    op.create_index(
        "uq_disputes_provider", "disputes", ["provider", "provider_dispute_id"], unique=True
    )
    op.create_index("ix_disputes_payment_id", "disputes", ["payment_id"])
    op.create_index("ix_disputes_created_at", "disputes", ["created_at", "dispute_id"])
    op.create_index(
        "ix_disputes_due_at",
        "disputes",
        ["due_at"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index("ix_disputes_status", "disputes", ["status", "evidence_due_at", "dispute_id"])
    op.create_table(
        "dispute_movements",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_movement_id", sa.Text(), nullable=False),
        sa.Column("dispute_id", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint(
            "kind IN ('WITHDRAWN', 'REINSTATED', 'FEE')", name=op.f("ck_dispute_movements_kind")
        ),
        sa.CheckConstraint(
            "amount >= 0 AND counted >= 0", name=op.f("ck_dispute_movements_amount")
        ),
        sa.ForeignKeyConstraint(
            ["dispute_id"],
            ["disputes.dispute_id"],
            name=op.f("fk_dispute_movements_dispute_id_disputes"),
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"],
            ["payments.payment_id"],
            name=op.f("fk_dispute_movements_payment_id_payments"),
        ),
        sa.PrimaryKeyConstraint(
            "provider", "provider_movement_id", name=op.f("pk_dispute_movements")
        ),
    )
    for name in ("dispute_id", "payment_id"):
        op.create_index(f"ix_dispute_movements_{name}", "dispute_movements", [name])


def downgrade() -> None:
    op.drop_table("dispute_movements")
    op.drop_table("disputes")
    op.drop_column("payments", "charged_back")
    op.drop_column("payments", "disputed")
