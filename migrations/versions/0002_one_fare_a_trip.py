"""Nobody is charged beside the place of a trip or order; sums of money that fit any number."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SUMS = tuple(
    (table, column)
    for table in ("payment_totals", "total_deltas")
    for column in ("captured", "refunded")
)


NAME = "ck_payments_charged_in_its_place"


def upgrade() -> None:
    # In steps of their own, so that the table is locked for a moment only: it is read for the
    # validation while charges go on. A charge of the code before that stands in the way of it is
    # over within the hour; then the migration can be run again.
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE payments DROP CONSTRAINT IF EXISTS {NAME}")
        op.execute(
            f"ALTER TABLE payments ADD CONSTRAINT {NAME} CHECK ("
            "share = 0 OR status NOT IN ('PROCESSING', 'REQUIRES_ACTION') OR authorized > 0)"
            " NOT VALID"
        )
        op.execute(f"ALTER TABLE payments VALIDATE CONSTRAINT {NAME}")
    # Both are small: one row for each combination of words, and the moves of the last second.
    for table, column in SUMS:
        op.alter_column(table, column, type_=sa.Numeric(), existing_nullable=False)


def downgrade() -> None:
    for table, column in SUMS:
        op.alter_column(table, column, type_=sa.BigInteger(), existing_nullable=False)
    op.execute(f"ALTER TABLE payments DROP CONSTRAINT {NAME}")
