"""What audit compares the rows with: events' snapshots, seals of imported rows, daily digests."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

# History from before there were seals is sealed as it stands today. The columns and their order
# are those of seeding/sealing.
SEAL_HISTORY = """
    INSERT INTO import_seals (payment_id, sealed_at, content)
    SELECT payment_id, clock_timestamp(),
        json_build_array(trip_id, share, amount, currency, method, status, reference,
            (extract(epoch FROM created_at) * 1000000)::bigint)::text
    FROM payments
    WHERE provider = 'import' AND audit_head IS NULL
    ORDER BY payment_id
"""


def upgrade() -> None:
    op.create_table(
        "import_seals",
        sa.Column("payment_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sealed_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_import_seals")),
    )
    op.create_table(
        "audit_digests",
        sa.Column("until", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("leased_until", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("written_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("payments", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("until", name=op.f("pk_audit_digests")),
    )
    op.execute(SEAL_HISTORY)
    # Last, because it holds up every event until the migration commits: at once, by then.
    op.add_column("events", sa.Column("snapshot", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("events", "snapshot")
    op.drop_table("audit_digests")
    op.drop_table("import_seals")
