"""What providers answered: how long it took, its HTTP status, and the body; a row for each look-up."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"

TIME = postgresql.TIMESTAMP(timezone=True)
KEY_OF_ANSWER = sa.literal_column("split_part(encode(answer, 'escape'), ':', 1)")


def upgrade() -> None:
    op.create_table(
        "lookups",
        sa.Column("payment_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("ms", sa.Integer(), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("n > 0 AND ms >= 0", name=op.f("ck_lookups_n")),
        sa.CheckConstraint(
            "found IN ('APPROVED', 'DECLINED', 'PENDING', 'REQUIRES_ACTION', 'EXPIRED', 'NOT_FOUND', 'UNKNOWN')",
            name=op.f("ck_lookups_found"),
        ),
        sa.PrimaryKeyConstraint("payment_id", "number", "n", name=op.f("pk_lookups")),
        sa.UniqueConstraint("reference", name=op.f("uq_lookups_reference")),
    )
    op.create_index("ix_lookups_asked_at", "lookups", ["asked_at"], unique=False)
    op.create_index(
        "ix_lookups_answer_key",
        "lookups",
        [KEY_OF_ANSWER],
        unique=False,
        postgresql_where=sa.text("answer IS NOT NULL"),
    )
    # Last, because charges wait from here to the commit. Without defaults and CHECKs: no row is
    # written or read.
    op.add_column("transactions", sa.Column("answered_ms", sa.Integer(), nullable=True))
    op.add_column("transactions", sa.Column("http_status", sa.SmallInteger(), nullable=True))
    op.add_column("transactions", sa.Column("answer", sa.LargeBinary(), nullable=True))
    op.create_foreign_key(
        op.f("fk_lookups_payment_id_number_transactions"),
        "lookups",
        "transactions",
        ["payment_id", "number"],
        ["payment_id", "number"],
    )


def downgrade() -> None:
    op.drop_table("lookups")
    op.drop_column("transactions", "answer")
    op.drop_column("transactions", "http_status")
    op.drop_column("transactions", "answered_ms")
