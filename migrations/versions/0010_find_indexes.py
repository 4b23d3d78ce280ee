"""Indexes by which people find refunds and idempotency keys."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

INDEXES = (
    (
        "ix_refunds_provider_reference",
        "refunds",
        ["provider_reference"],
        "provider_reference IS NOT NULL",
    ),
    ("ix_refunds_pending", "refunds", ["status", "created_at", "refund_id"], "status = 'PENDING'"),
    ("ix_idempotency_keys_key", "idempotency_keys", ["key"], None),
)


def upgrade() -> None:
    # Built while charges go on, so each by itself and in no transaction. One that did not come to
    # its end stays behind without being of use, so it is dropped first: this may be run again.
    with op.get_context().autocommit_block():
        for name, table, columns, where in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.create_index(
                name,
                table,
                columns,
                unique=False,
                postgresql_where=None if where is None else sa.text(where),
                postgresql_concurrently=True,
            )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name, _, _, _ in reversed(INDEXES):
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
