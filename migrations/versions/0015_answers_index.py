"""By the key's id, those answers of providers that there are."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

NAME = "ix_transactions_answer_key"
KEY_OF_ANSWER = sa.literal_column("split_part(encode(answer, 'escape'), ':', 1)")


def upgrade() -> None:
    # Built while charges go on, so in no transaction. One that did not come to its end stays behind
    # without being of use, so it is dropped first: this may be run again.
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
        op.create_index(
            NAME,
            "transactions",
            [KEY_OF_ANSWER],
            unique=False,
            postgresql_where=sa.text("answer IS NOT NULL"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
