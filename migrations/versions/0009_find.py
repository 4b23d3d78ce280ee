"""Notes of operators about payments, and the views that they keep."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"

TIME = postgresql.TIMESTAMP(timezone=True)

ACTS_BEFORE = "act IN ('logged_in', 'log_in_failed', 'log_in_delayed', 'logged_out', 'stepped_up', 'step_up_failed', 'session_ended', 'password_changed', 'second_factor_set', 'second_factor_used', 'second_factor_reset', 'recovery_code_used', 'invite_made', 'invite_used', 'operator_added', 'operator_role_changed', 'operator_disabled', 'operator_enabled', 'exported', 'approval_asked', 'approval_given', 'approval_refused', 'catalog_edited', 'deliveries_delivered', 'deliveries_skipped', 'webhook_replayed', 'settings_at_start', 'keys_rotated')"
ACTS = ACTS_BEFORE.replace("'webhook_replayed', ", "'webhook_replayed', 'note_added', ")

# The function is that of the events, from the first migration.
APPEND_ONLY = """
    CREATE TRIGGER payment_notes_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE
        ON payment_notes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    op.create_table(
        "saved_views",
        sa.Column("view_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", postgresql.JSON(), nullable=False),
        sa.Column("shared", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("char_length(name) BETWEEN 1 AND 60", name=op.f("ck_saved_views_name")),
        sa.ForeignKeyConstraint(
            ["operator_id"],
            ["operators.operator_id"],
            name=op.f("fk_saved_views_operator_id_operators"),
        ),
        sa.PrimaryKeyConstraint("view_id", name=op.f("pk_saved_views")),
        sa.UniqueConstraint("operator_id", "name", name=op.f("uq_saved_views_operator_id_name")),
    )
    op.create_index(
        "ix_saved_views_shared",
        "saved_views",
        ["name", "view_id"],
        unique=False,
        postgresql_where=sa.text("shared"),
    )
    op.drop_constraint(op.f("ck_audit_log_act"), "audit_log", type_="check")
    op.create_check_constraint(op.f("ck_audit_log_act"), "audit_log", ACTS)
    # Last: its foreign key makes charges wait from here to the commit.
    op.create_table(
        "payment_notes",
        sa.Column("note_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("form_key", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.CheckConstraint(
            "char_length(text) BETWEEN 1 AND 2000", name=op.f("ck_payment_notes_text")
        ),
        sa.ForeignKeyConstraint(
            ["operator_id"],
            ["operators.operator_id"],
            name=op.f("fk_payment_notes_operator_id_operators"),
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"],
            ["payments.payment_id"],
            name=op.f("fk_payment_notes_payment_id_payments"),
        ),
        sa.PrimaryKeyConstraint("note_id", name=op.f("pk_payment_notes")),
        sa.UniqueConstraint(
            "operator_id", "form_key", name=op.f("uq_payment_notes_operator_id_form_key")
        ),
    )
    op.create_index(
        "ix_payment_notes_payment_id", "payment_notes", ["payment_id", "note_id"], unique=False
    )
    op.execute(APPEND_ONLY)


def downgrade() -> None:
    op.drop_table("payment_notes")
    op.drop_table("saved_views")
    op.drop_constraint(op.f("ck_audit_log_act"), "audit_log", type_="check")
    # Nobody may take an act out of the log: where there is one of these, rows are not asked.
    written = sa.text("SELECT EXISTS (SELECT FROM audit_log WHERE act = 'note_added')")
    op.create_check_constraint(
        op.f("ck_audit_log_act"),
        "audit_log",
        ACTS_BEFORE,
        postgresql_not_valid=op.get_bind().scalar(written),
    )
