"""Jobs of operators and their items, and the acts of jobs and exports."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"

TIME = postgresql.TIMESTAMP(timezone=True)

ACTS_BEFORE = "act IN ('logged_in', 'log_in_failed', 'log_in_delayed', 'logged_out', 'stepped_up', 'step_up_failed', 'session_ended', 'password_changed', 'second_factor_set', 'second_factor_used', 'second_factor_reset', 'recovery_code_used', 'invite_made', 'invite_used', 'operator_added', 'operator_role_changed', 'operator_disabled', 'operator_enabled', 'exported', 'approval_asked', 'approval_given', 'approval_refused', 'approval_withdrawn', 'approval_lapsed', 'catalog_edited', 'deliveries_delivered', 'deliveries_skipped', 'webhook_replayed', 'note_added', 'settings_at_start', 'keys_rotated')"
NEW = ("export_begun", "job_asked", "job_stopped", "job_continued")
ACTS = ACTS_BEFORE.replace(
    "'exported', ", "'export_begun', 'exported', 'job_asked', 'job_stopped', 'job_continued', "
)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("what", postgresql.JSON(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_key", sa.Text(), nullable=True),
        sa.Column("session_id", sa.BigInteger(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("stop_asked_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.CheckConstraint(
            "kind IN ('RESEND', 'SKIP', 'RESOLVE', 'VERIFY')", name=op.f("ck_jobs_kind")
        ),
        sa.CheckConstraint("state IN ('OPEN', 'STOPPED', 'ENDED')", name=op.f("ck_jobs_state")),
        sa.CheckConstraint(
            "(state = 'ENDED') = (ended_at IS NOT NULL)", name=op.f("ck_jobs_ended")
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("asked_by", "asked_key", name=op.f("uq_jobs_asked_by_asked_key")),
    )
    op.create_index("ix_jobs_kind", "jobs", ["kind", "job_id"], unique=False)
    op.create_table(
        "job_items",
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("said", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('OPEN', 'DONE', 'FAILED')", name=op.f("ck_job_items_state")),
        sa.CheckConstraint(
            "(state = 'FAILED') = (error IS NOT NULL)", name=op.f("ck_job_items_error")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name=op.f("fk_job_items_job_id_jobs")),
        sa.PrimaryKeyConstraint("job_id", "key", name=op.f("pk_job_items")),
    )
    op.create_index(
        "ix_job_items_due",
        "job_items",
        ["due_at", "number"],
        unique=False,
        postgresql_where=sa.text("state = 'OPEN'"),
    )
    op.drop_constraint(op.f("ck_audit_log_act"), "audit_log", type_="check")
    op.create_check_constraint(op.f("ck_audit_log_act"), "audit_log", ACTS)


def downgrade() -> None:
    op.drop_constraint(op.f("ck_audit_log_act"), "audit_log", type_="check")
    # Nobody may take an act out of the log: where there is one of these, rows are not asked.
    there = sa.text("SELECT EXISTS (SELECT FROM audit_log WHERE act = ANY (:new))")
    op.create_check_constraint(
        op.f("ck_audit_log_act"),
        "audit_log",
        ACTS_BEFORE,
        postgresql_not_valid=op.get_bind().scalar(there, {"new": list(NEW)}),
    )
    op.drop_table("job_items")
    op.drop_table("jobs")
