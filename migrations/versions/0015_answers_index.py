"""By the key's id, and by time, those answers of providers that there are."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

KEY_OF_ANSWER = sa.literal_column("split_part(encode(answer, 'escape'), ':', 1)")
INDEXES = (
    ("ix_transactions_answer_key", KEY_OF_ANSWER),
    ("ix_transactions_answer_created_at", "created_at"),
)


def upgrade() -> None:
    # Built while charges go on, so each by itself and in no transaction. One that did not come to
    # its end stays behind without being of use, so it is dropped first: this may be run again.
    with op.get_context().autocommit_block():
        for name, column in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.create_index(
                name,
                "transactions",
                [column],
                unique=False,
                postgresql_where=sa.text("answer IS NOT NULL"),
                postgresql_concurrently=True,
            )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name, _ in reversed(INDEXES):
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
