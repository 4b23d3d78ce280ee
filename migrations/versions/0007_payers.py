"""Payers: who pays, and the provider's page that they are sent to, encrypted. What ran before
writes nothing here, and reads payments.next_action as it did."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"


def key_of(column: str) -> sa.ColumnElement[str]:
    """The id of the key that an encrypted column's row needs."""
    return sa.literal_column(f"split_part(encode({column}, 'escape'), ':', 1)")


def upgrade() -> None:
    op.create_table(
        "payers",
        sa.Column("payment_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("said", sa.LargeBinary(), nullable=True),
        sa.Column("page", sa.LargeBinary(), nullable=True),
        sa.Column("hastened_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.payment_id"], name=op.f("fk_payers_payment_id_payments")
        ),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_payers")),
        sa.UniqueConstraint("reference", name=op.f("uq_payers_reference")),
    )
    for column in ("said", "page"):
        op.create_index(f"ix_payers_{column}_key", "payers", [key_of(column)], unique=False)


def downgrade() -> None:
    op.drop_table("payers")
