"""The first tables: payments, their requests, refunds, events, keys, totals, the catalog."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


# Events are what an auditor reads: nothing changes or removes them, whoever asks.
TRIGGERS = (
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% of % is refused: it is append-only', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    """
    CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    # Whoever edits the catalog, by whatever way, makes every cached copy of it unreachable.
    """
    CREATE FUNCTION raise_catalog_version() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        -- By the clock, so that a restored database doesn't come by a version that it had
        -- before and that a cache still knows.
        UPDATE catalog_version
        SET version = greatest(version + 1, (extract(epoch FROM clock_timestamp()) * 1e6)::bigint);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER catalog_edits_raise_the_version
        AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON provider_offers
        FOR EACH STATEMENT EXECUTE FUNCTION raise_catalog_version()
    """,
    "INSERT INTO catalog_version DEFAULT VALUES",
    # Rows live for a second here: vacuum by count of the dead, not by share of the table.
    """
    ALTER TABLE total_deltas SET (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000
    )
    """,
    # Each row is changed twice within a second of its birth, and the relays read the youngest.
    "ALTER TABLE deliveries SET (autovacuum_vacuum_scale_factor = 0.02)",
)


def upgrade() -> None:
    op.create_table(
        "catalog_version",
        sa.Column("only_row", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("only_row", name=op.f("ck_catalog_version_only_row")),
        sa.PrimaryKeyConstraint("only_row", name=op.f("pk_catalog_version")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=True),
        sa.Column("transaction_number", sa.SmallInteger(), nullable=True),
        sa.Column("locked_until", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("answer_status", sa.SmallInteger(), nullable=True),
        sa.Column("answer_body", sa.Text(), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("caller", "operation", "key", name=op.f("pk_idempotency_keys")),
        postgresql_with={"fillfactor": 60},
    )
    op.create_index(
        "ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"], unique=False
    )
    op.create_table(
        "payment_totals",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("payments", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("entered", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("captured", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("refunds", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("refunded", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint(
            "provider", "method", "currency", "status", name=op.f("pk_payment_totals")
        ),
    )
    op.create_table(
        "payments",
        sa.Column("payment_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("trip_id", sa.BigInteger(), nullable=True),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("rider_id", sa.BigInteger(), nullable=True),
        sa.Column("driver_id", sa.BigInteger(), nullable=True),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("parent_payment_id", sa.BigInteger(), nullable=True),
        sa.Column("purpose", sa.Text(), server_default="FARE", nullable=False),
        sa.Column("share", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("authorized", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("captured", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("refunded", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("refund_pending", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column(
            "live",
            sa.Boolean(),
            sa.Computed("status NOT IN ('CANCELLED', 'EXPIRED', 'FAILED')", persisted=True),
            nullable=False,
        ),
        sa.Column(
            "rare_status",
            sa.Text(),
            sa.Computed(
                "CASE WHEN status IN ('PROCESSING', 'SUCCESS') THEN NULL ELSE status END",
                persisted=True,
            ),
            nullable=True,
        ),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("caller_reference", sa.Text(), nullable=True),
        sa.Column("payment_token", sa.Text(), nullable=True),
        sa.Column("provider_reference", sa.Text(), nullable=True),
        sa.Column("authorization_code", sa.Text(), nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column(
            "next_action", postgresql.JSON(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column(
            "metadata",
            postgresql.JSON(astext_type=sa.Text()),
            server_default=sa.text("'{}'::json"),
            nullable=False,
        ),
        sa.Column("fare", postgresql.JSON(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("audit_head", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("captured_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "CASE status WHEN 'SUCCESS' THEN captured > 0 AND refunded = 0 WHEN 'PARTIALLY_REFUNDED' THEN refunded > 0 AND refunded < captured WHEN 'REFUNDED' THEN captured > 0 AND refunded = captured WHEN 'AUTHORIZED' THEN authorized > 0 AND captured = 0 ELSE captured = 0 END",
            name=op.f("ck_payments_status_amounts"),
        ),
        sa.CheckConstraint(
            "method IN ('CARD', 'WALLET', 'UPI', 'CASH', 'NET_BANKING', 'SWISH')",
            name=op.f("ck_payments_method"),
        ),
        sa.CheckConstraint(
            "purpose IN ('FARE', 'TIP', 'CANCELLATION_FEE', 'ARREARS')",
            name=op.f("ck_payments_purpose"),
        ),
        sa.CheckConstraint(
            "status IN ('PENDING', 'PROCESSING', 'REQUIRES_ACTION', 'AUTHORIZED', 'SUCCESS', 'FAILED', 'CANCELLED', 'EXPIRED', 'PARTIALLY_REFUNDED', 'REFUNDED')",
            name=op.f("ck_payments_status"),
        ),
        sa.CheckConstraint("amount > 0 AND share >= 0", name=op.f("ck_payments_amount")),
        sa.CheckConstraint(
            "refunded >= 0 AND refund_pending >= 0 AND refunded + refund_pending <= captured AND captured <= authorized",
            name=op.f("ck_payments_ceilings"),
        ),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_payments")),
        postgresql_with={"fillfactor": 60},
    )
    op.create_index(
        "ix_payments_caller_reference",
        "payments",
        ["caller_reference", "created_at", "payment_id"],
        unique=False,
        postgresql_where=sa.text("caller_reference IS NOT NULL"),
    )
    op.create_index(
        "ix_payments_created_at", "payments", ["created_at", "payment_id"], unique=False
    )
    op.create_index(
        "ix_payments_dead_order",
        "payments",
        ["order_id"],
        unique=False,
        postgresql_where=sa.text("NOT live"),
    )
    op.create_index(
        "ix_payments_dead_trip",
        "payments",
        ["trip_id"],
        unique=False,
        postgresql_where=sa.text("NOT live"),
    )
    op.create_index(
        "ix_payments_driver_id",
        "payments",
        ["driver_id", "created_at", "payment_id"],
        unique=False,
        postgresql_where=sa.text("driver_id IS NOT NULL"),
    )
    op.create_index(
        "ix_payments_expires_at",
        "payments",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_index(
        "ix_payments_rare_status",
        "payments",
        ["rare_status", "created_at", "payment_id"],
        unique=False,
        postgresql_where=sa.text("rare_status IS NOT NULL"),
    )
    op.create_index(
        "ix_payments_rider_id",
        "payments",
        ["rider_id", "created_at", "payment_id"],
        unique=False,
        postgresql_where=sa.text("rider_id IS NOT NULL"),
    )
    op.create_index(
        "ix_payments_user_id",
        "payments",
        ["user_id", "created_at", "payment_id"],
        unique=False,
        postgresql_where=sa.text("user_id IS NOT NULL"),
    )
    op.create_index(
        "uq_payments_live_order",
        "payments",
        ["order_id", "purpose", "share"],
        unique=True,
        postgresql_where=sa.text("live AND order_id IS NOT NULL"),
    )
    op.create_index(
        "uq_payments_live_trip",
        "payments",
        ["trip_id", "purpose", "share"],
        unique=True,
        postgresql_where=sa.text("live AND trip_id IS NOT NULL"),
    )
    op.create_index("uq_payments_reference", "payments", ["reference"], unique=True)
    op.create_table(
        "provider_offers",
        sa.Column("offer_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("provider_name", sa.Text(), nullable=False),
        sa.Column("country_code", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("position", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "country_code ~ '^[A-Z]{2}$' AND currency ~ '^[A-Z]{3}$'",
            name=op.f("ck_provider_offers_codes"),
        ),
        sa.PrimaryKeyConstraint("offer_id", name=op.f("pk_provider_offers")),
    )
    op.create_index(
        "uq_provider_offers_offer",
        "provider_offers",
        ["country_code", "currency", "payment_method", "provider_name"],
        unique=True,
    )
    op.create_table(
        "total_deltas",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("payments", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("entered", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("captured", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("refunds", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("refunded", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("payment_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=True),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("occurred_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.payment_id"], name=op.f("fk_events_payment_id_payments")
        ),
        sa.PrimaryKeyConstraint("payment_id", "seq", name=op.f("pk_events")),
    )
    op.create_table(
        "refunds",
        sa.Column("refund_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=False),
        sa.Column("transaction_number", sa.SmallInteger(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("provider_reference", sa.Text(), nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('PENDING', 'SUCCESS', 'FAILED')", name=op.f("ck_refunds_status")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_refunds_amount")),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.payment_id"], name=op.f("fk_refunds_payment_id_payments")
        ),
        sa.PrimaryKeyConstraint("refund_id", name=op.f("pk_refunds")),
    )
    op.create_index("ix_refunds_created_at", "refunds", ["created_at", "refund_id"], unique=False)
    op.create_index("ix_refunds_payment_id", "refunds", ["payment_id"], unique=False)
    op.create_table(
        "transactions",
        sa.Column("payment_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("amount_approved", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_account", sa.Text(), nullable=True),
        sa.Column("provider_reference", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("fee", sa.BigInteger(), nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("occurred_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("send_before", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("due_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("lookups", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("not_found_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('PROCESSING', 'REQUIRES_ACTION', 'SUCCESS', 'FAILED')",
            name=op.f("ck_transactions_status"),
        ),
        sa.CheckConstraint(
            "type IN ('AUTHORIZATION', 'CHARGE', 'CAPTURE', 'VOID', 'REFUND')",
            name=op.f("ck_transactions_type"),
        ),
        sa.CheckConstraint("amount > 0 AND number > 0", name=op.f("ck_transactions_amount")),
        sa.ForeignKeyConstraint(
            ["payment_id"],
            ["payments.payment_id"],
            name=op.f("fk_transactions_payment_id_payments"),
        ),
        sa.PrimaryKeyConstraint("payment_id", "number", name=op.f("pk_transactions")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_transactions_due_at",
        "transactions",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_transactions_provider_reference",
        "transactions",
        ["provider_reference"],
        unique=False,
        postgresql_where=sa.text("provider_reference IS NOT NULL"),
    )
    op.create_index(
        "uq_transactions_open_move",
        "transactions",
        ["payment_id"],
        unique=True,
        postgresql_where=sa.text("status = 'PROCESSING' AND type <> 'REFUND'"),
    )
    op.create_table(
        "deliveries",
        sa.Column("payment_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sink", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("done_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("parked_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["payment_id", "seq"],
            ["events.payment_id", "events.seq"],
            name=op.f("fk_deliveries_payment_id_seq_events"),
        ),
        sa.PrimaryKeyConstraint("payment_id", "sink", "seq", name=op.f("pk_deliveries")),
    )
    op.create_index(
        "ix_deliveries_done",
        "deliveries",
        ["done_at"],
        unique=False,
        postgresql_where=sa.text("done_at IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["sink", "due_at"],
        unique=False,
        postgresql_where=sa.text("done_at IS NULL AND parked_at IS NULL"),
    )
    op.create_index(
        "ix_deliveries_parked",
        "deliveries",
        ["parked_at"],
        unique=False,
        postgresql_where=sa.text("parked_at IS NOT NULL AND done_at IS NULL"),
    )
    op.create_table(
        "sink_totals",
        sa.Column("sink", sa.Text(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("parked", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("sink", name=op.f("pk_sink_totals")),
    )
    for statement in TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    for table in (
        "sink_totals",
        "deliveries",
        "events",
        "refunds",
        "transactions",
        "payments",
        "payment_totals",
        "total_deltas",
        "idempotency_keys",
        "provider_offers",
        "catalog_version",
    ):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change(), raise_catalog_version()")
