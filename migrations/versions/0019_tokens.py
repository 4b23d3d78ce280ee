"""The provider's token of a way to pay, encrypted. What stands in payment_token stays there until
`flask keys rotate` has moved it: without the keys no migration can."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

NAME = "ix_payments_token_key"


def upgrade() -> None:
    # The index is built while charges go on, so in no transaction; and this may be run again: one
    # that did not come to its end is of no use.
    op.execute("ALTER TABLE payments ADD COLUMN IF NOT EXISTS token bytea")
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
        op.create_index(
            NAME,
            "payments",
            [sa.literal_column("split_part(encode(token, 'escape'), ':', 1)")],
            postgresql_where=sa.text("token IS NOT NULL"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    there = sa.text("SELECT EXISTS (SELECT FROM payments WHERE token IS NOT NULL)")
    if op.get_bind().scalar(there):
        raise RuntimeError("payments.token holds tokens that nothing else has: nothing was done")
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
    op.drop_column("payments", "token")
