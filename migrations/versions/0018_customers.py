"""Customers: who pays again and again, with what is personal encrypted."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"

TIME = postgresql.TIMESTAMP(timezone=True)

ACTS_BEFORE = "act IN ('logged_in', 'log_in_failed', 'log_in_delayed', 'logged_out', 'stepped_up', 'step_up_failed', 'session_ended', 'password_changed', 'second_factor_set', 'second_factor_used', 'second_factor_reset', 'recovery_code_used', 'invite_made', 'invite_used', 'operator_added', 'operator_role_changed', 'operator_disabled', 'operator_enabled', 'export_begun', 'exported', 'job_asked', 'job_stopped', 'job_continued', 'approval_asked', 'approval_given', 'approval_refused', 'approval_withdrawn', 'approval_lapsed', 'catalog_edited', 'deliveries_delivered', 'deliveries_skipped', 'webhook_replayed', 'note_added', 'settings_at_start', 'keys_rotated')"
NEW = "customer_erased"
ACTS = ACTS_BEFORE.replace("'settings_at_start'", f"'{NEW}', 'settings_at_start'")


def upgrade() -> None:
    op.create_table(
        "customers",
        sa.Column("customer_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.LargeBinary(), nullable=True),
        sa.Column("email", sa.LargeBinary(), nullable=True),
        sa.Column("phone", sa.LargeBinary(), nullable=True),
        sa.Column("email_lookup", sa.LargeBinary(), nullable=True),
        sa.Column("phone_lookup", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("erased_at", TIME, nullable=True),
        sa.CheckConstraint(
            "(erased_at IS NULL) = (user_id IS NOT NULL)", name=op.f("ck_customers_user")
        ),
        sa.CheckConstraint(
            "erased_at IS NULL OR num_nonnulls(name, email, phone, email_lookup, phone_lookup) = 0",
            name=op.f("ck_customers_erased"),
        ),
        sa.CheckConstraint(
            "(email IS NULL) = (email_lookup IS NULL)", name=op.f("ck_customers_email")
        ),
        sa.CheckConstraint(
            "(phone IS NULL) = (phone_lookup IS NULL)", name=op.f("ck_customers_phone")
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customers")),
        sa.UniqueConstraint("user_id", name=op.f("uq_customers_user_id")),
    )
    for name in ("email", "phone"):
        op.create_index(
            f"ix_customers_{name}_lookup",
            "customers",
            [f"{name}_lookup"],
            postgresql_where=sa.text(f"{name}_lookup IS NOT NULL"),
        )
    for name in ("name", "email", "phone"):
        op.create_index(
            f"ix_customers_{name}_key",
            "customers",
            [sa.literal_column(f"split_part(encode({name}, 'escape'), ':', 1)")],
            postgresql_where=sa.text(f"{name} IS NOT NULL"),
        )
    op.drop_constraint(op.f("ck_audit_log_act"), "audit_log", type_="check")
    op.create_check_constraint(op.f("ck_audit_log_act"), "audit_log", ACTS)


def downgrade() -> None:
    op.drop_constraint(op.f("ck_audit_log_act"), "audit_log", type_="check")
    # Nobody may take an act out of the log: where there is one of these, rows are not asked.
    there = sa.text("SELECT EXISTS (SELECT FROM audit_log WHERE act = :new)")
    op.create_check_constraint(
        op.f("ck_audit_log_act"),
        "audit_log",
        ACTS_BEFORE,
        postgresql_not_valid=op.get_bind().scalar(there, {"new": NEW}),
    )
    op.drop_table("customers")
