"""Figures by day and hour, beats of the worker, contradictions, and the cash that is to be collected."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"

TIME = postgresql.TIMESTAMP(timezone=True)
LABELS = ("provider", "method", "currency", "status")
CASH = "ix_payments_cash_to_collect"


def figures(table: str, bucket: sa.Column) -> None:
    op.create_table(
        table,
        bucket,
        *(sa.Column(name, sa.Text(), nullable=False) for name in LABELS),
        sa.Column("payments", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("captured_now", sa.Numeric(), server_default=sa.text("0"), nullable=False),
        sa.Column("refunded_now", sa.Numeric(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint(bucket.name, *LABELS, name=op.f(f"pk_{table}")),
    )


def upgrade() -> None:
    # In a step of its own, while charges go on; one that was broken off is made again.
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {CASH}")
        op.execute(
            f"CREATE INDEX CONCURRENTLY {CASH} ON payments (created_at)"
            " WHERE rare_status = 'PENDING' AND method = 'CASH'"
        )
    figures("payment_days", sa.Column("day", sa.Date(), nullable=False))
    figures("payment_hours", sa.Column("hour", TIME, nullable=False))
    op.create_table(
        "worker_beats",
        sa.Column("beat", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        sa.Column("counts", postgresql.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("beat", name=op.f("pk_worker_beats")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "contradictions",
        sa.Column("payment_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("payment_id", "seq", name=op.f("pk_contradictions")),
    )
    op.create_index("ix_contradictions_at", "contradictions", ["at"], unique=False)
    # Last, because charges wait from here to the commit: no row is written for the defaults. What
    # the code before writes has no time, and is in no day until `flask totals rebuild`.
    op.add_column("total_deltas", sa.Column("at", TIME, nullable=True))
    for name in ("captured_now", "refunded_now"):
        op.add_column(
            "total_deltas",
            sa.Column(name, sa.Numeric(), server_default=sa.text("0"), nullable=False),
        )


def downgrade() -> None:
    for name in ("refunded_now", "captured_now", "at"):
        op.drop_column("total_deltas", name)
    for table in ("contradictions", "worker_beats", "payment_hours", "payment_days"):
        op.drop_table(table)
    op.drop_index(CASH, table_name="payments")
