"""How an operator likes amounts to be written."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column(
        "operators", sa.Column("numbers", sa.Text(), server_default="receipt", nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_operators_numbers"),
        "operators",
        "numbers IN ('receipt', 'en_IN', 'en_GB', 'de_DE', 'de_CH', 'fr_FR')",
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_operators_numbers"), "operators", type_="check")
    op.drop_column("operators", "numbers")
