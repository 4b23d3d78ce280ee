"""Who a customer is at each provider, and what it has saved there."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"

TIME = postgresql.TIMESTAMP(timezone=True)


def _whose() -> list[sa.Column]:
    return [
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), server_default=sa.text("''"), nullable=False),
    ]


def _of_customer(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["customer_id"],
        ["customers.customer_id"],
        name=op.f(f"fk_{table}_customer_id_customers"),
    )


def upgrade() -> None:
    op.create_table(
        "provider_customers",
        *_whose(),
        sa.Column("provider_customer_id", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("erase_asked_at", TIME, nullable=True),
        sa.Column("erased_at", TIME, nullable=True),
        sa.CheckConstraint(
            "erased_at IS NULL OR erase_asked_at IS NOT NULL",
            name=op.f("ck_provider_customers_erased"),
        ),
        sa.CheckConstraint(
            "erase_asked_at IS NULL OR erased_at IS NOT NULL OR due_at IS NOT NULL",
            name=op.f("ck_provider_customers_due"),
        ),
        _of_customer("provider_customers"),
        sa.PrimaryKeyConstraint(
            "customer_id", "provider", "account", name=op.f("pk_provider_customers")
        ),
        sa.UniqueConstraint(
            "provider",
            "account",
            "provider_customer_id",
            name=op.f("uq_provider_customers_provider_account_provider_customer_id"),
        ),
    )
    op.create_index(
        "ix_provider_customers_due",
        "provider_customers",
        ["due_at"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_table(
        "method_setups",
        sa.Column("setup_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        *_whose(),
        sa.Column("provider_setup_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint(
            "status IN ('OPEN', 'DONE', 'OVER')", name=op.f("ck_method_setups_status")
        ),
        _of_customer("method_setups"),
        sa.PrimaryKeyConstraint("setup_id", name=op.f("pk_method_setups")),
        sa.UniqueConstraint(
            "provider",
            "account",
            "provider_setup_id",
            name=op.f("uq_method_setups_provider_account_provider_setup_id"),
        ),
    )
    op.create_index(
        "ix_method_setups_open",
        "method_setups",
        ["customer_id"],
        postgresql_where=sa.text("status = 'OPEN'"),
    )
    op.create_table(
        "payment_methods",
        sa.Column("payment_method_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        *_whose(),
        sa.Column("token", sa.LargeBinary(), nullable=True),
        sa.Column("token_mark", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("brand", sa.Text(), nullable=True),
        sa.Column("last4", sa.Text(), nullable=True),
        sa.Column("exp_month", sa.SmallInteger(), nullable=True),
        sa.Column("exp_year", sa.SmallInteger(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.CheckConstraint(
            "status IN ('ACTIVE', 'EXPIRED', 'DETACHED')", name=op.f("ck_payment_methods_status")
        ),
        sa.CheckConstraint(
            "status = 'DETACHED' OR token IS NOT NULL", name=op.f("ck_payment_methods_token")
        ),
        sa.CheckConstraint(
            "NOT is_default OR status <> 'DETACHED'", name=op.f("ck_payment_methods_default")
        ),
        sa.CheckConstraint("last4 ~ '^[0-9]{4}$'", name=op.f("ck_payment_methods_last4")),
        _of_customer("payment_methods"),
        sa.PrimaryKeyConstraint("payment_method_id", name=op.f("pk_payment_methods")),
        sa.UniqueConstraint(
            "provider",
            "account",
            "token_mark",
            name=op.f("uq_payment_methods_provider_account_token_mark"),
        ),
    )
    op.create_index("ix_payment_methods_customer", "payment_methods", ["customer_id"])
    op.create_index(
        "uq_payment_methods_default",
        "payment_methods",
        ["customer_id"],
        unique=True,
        postgresql_where=sa.text("is_default"),
    )
    op.create_index(
        "ix_payment_methods_token_key",
        "payment_methods",
        [sa.literal_column("split_part(encode(token, 'escape'), ':', 1)")],
        postgresql_where=sa.text("token IS NOT NULL"),
    )


def downgrade() -> None:
    for table in ("payment_methods", "method_setups", "provider_customers"):
        op.drop_table(table)
