"""Imported history has a column of its own: no rule asks for the name in `provider` any more."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

AT_ONCE = 20_000
"""Payments that are marked in one transaction: about a second, in which only history is locked, and
no more dead rows than vacuum clears away behind it. Five million take some minutes beside charges."""

# The code before imports without a word of the column, and both run at once during a deployment.
# The WHEN is asked without a call, so a charge does not feel it.
MARK = (
    """
    CREATE OR REPLACE FUNCTION mark_imported() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.imported := true;
        RETURN NEW;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER imports_are_marked BEFORE INSERT ON payments
        FOR EACH ROW WHEN (NEW.provider = 'import' AND NEW.imported IS NOT TRUE)
        EXECUTE FUNCTION mark_imported()
    """,
)
NEXT = sa.text("""
    SELECT max(payment_id) FROM (
        SELECT payment_id FROM payments WHERE payment_id > :after
        ORDER BY payment_id LIMIT :at_once) AS next
""")
# What a charge has taken over bears another provider by now; its caller stays.
BACK_FILL = sa.text("""
    UPDATE payments SET imported = true
    WHERE payment_id > :after AND payment_id <= :upto AND NOT imported
      AND (provider = 'import' OR caller = 'import')
""")


def upgrade() -> None:
    # In steps of their own, each of which may be run again: the table is locked for a moment (the
    # default is kept beside it, no row is written for it), and then no more than a few rows. No index
    # is on the column, and most rows have room beside them.
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE payments ADD COLUMN IF NOT EXISTS"
                   " imported boolean DEFAULT false NOT NULL")  # fmt: skip
        for statement in MARK:
            op.execute(statement)
        connection, after = op.get_bind(), -(2**63)
        while True:
            upto = connection.execute(NEXT, {"after": after, "at_once": AT_ONCE}).scalar_one()
            if upto is None:
                return
            connection.execute(BACK_FILL, {"after": after, "upto": upto})
            after = upto


def downgrade() -> None:
    op.execute("DROP TRIGGER imports_are_marked ON payments")
    op.execute("DROP FUNCTION mark_imported()")
    op.drop_column("payments", "imported")
