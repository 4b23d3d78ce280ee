"""Which trace a request and a delivery belong to, so that a look-up and the relay go on with it."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    # Without defaults and CHECKs: no row is written or read, and the code before writes null.
    op.add_column("transactions", sa.Column("traceparent", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("traceparent", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("deliveries", "traceparent")
    op.drop_column("transactions", "traceparent")
