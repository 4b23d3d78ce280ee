"""Fills a migrated database with a history of so many payments, by SQL alone.

Payments, one request to the provider each, and keys of the last tenth; as if one came every ten
seconds. Events and what is owed of them come by themselves (`owe`): only the relay reads them.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.bench.world import Servers

STATEMENTS = (
    """
    INSERT INTO payments (payment_id, order_id, rider_id, driver_id, amount, currency, authorized,
        captured, refunded, method, provider, status, reference, caller, provider_reference,
        created_at, updated_at, completed_at, captured_at)
    SELECT n, n, 1 + n * 7919 % 100000, 1 + n * 104729 % 20000, amount, 'INR',
        CASE WHEN paid THEN amount ELSE 0 END, CASE WHEN paid THEN amount ELSE 0 END,
        CASE WHEN status = 'REFUNDED' THEN amount ELSE 0 END, 'CARD', 'sandbox', status,
        'PAY-20250101-' || lpad(n::text, 12, '0'), 'local',
        CASE WHEN paid THEN 'ch_' || n END, at, at,
        CASE WHEN status <> 'PENDING' THEN at END, CASE WHEN paid THEN at END
    FROM (SELECT *, status IN ('SUCCESS', 'REFUNDED') AS paid FROM (
        SELECT n, 1000 + n * 31 % 29000 AS amount,
            now() - ({rows} - n) * interval '10 seconds' AS at,
            CASE n % 20 WHEN 0 THEN 'FAILED' WHEN 1 THEN 'REFUNDED' WHEN 2 THEN 'PENDING'
                ELSE 'SUCCESS' END AS status
        FROM generate_series(1, {rows}::bigint) AS n) AS drawn) AS rows
    """,
    """
    INSERT INTO transactions (payment_id, number, type, status, amount, amount_approved, currency,
        provider, provider_reference, reference, created_at, occurred_at, send_before)
    SELECT payment_id, 1, 'CHARGE', CASE status WHEN 'FAILED' THEN status ELSE 'SUCCESS' END,
        amount, amount, currency, provider, provider_reference, reference || '-1', created_at,
        created_at, created_at + interval '5 seconds'
    FROM payments WHERE status <> 'PENDING' ORDER BY payment_id
    """,
    """
    INSERT INTO idempotency_keys (caller, operation, key, fingerprint, payment_id,
        transaction_number, answer_status, answer_body, created_at, expires_at)
    SELECT 'local', 'POST /v1/payments/charge', 'key-' || md5(payment_id::text), repeat('f', 250),
        payment_id, 1, 201, repeat('x', 900), now(), now() + interval '1 day'
    FROM payments WHERE payment_id > {rows} * 0.9
    """,
    """
    INSERT INTO total_deltas (provider, method, currency, status, payments, created, entered,
        captured, refunds, refunded)
    SELECT provider, method, currency, status, count(*), count(*), count(*), sum(captured),
        count(*) FILTER (WHERE refunded > 0), sum(refunded)
    FROM payments GROUP BY provider, method, currency, status
    """,
    # As folded already, by the zone that is the default.
    """
    INSERT INTO payment_days (day, provider, method, currency, status, payments, captured_now,
        refunded_now)
    SELECT CAST(created_at AT TIME ZONE 'Asia/Kolkata' AS date) AS day, provider, method, currency,
        status, count(*), sum(captured), sum(refunded)
    FROM payments GROUP BY day, provider, method, currency, status
    """,
    """
    INSERT INTO payment_hours (hour, provider, method, currency, status, payments, captured_now,
        refunded_now)
    SELECT date_trunc('hour', created_at, 'Asia/Kolkata') AS hour, provider, method, currency,
        status, count(*), sum(captured), sum(refunded)
    FROM payments WHERE created_at > now() - interval '8 days'
    GROUP BY hour, provider, method, currency, status
    """,
    "SELECT setval(pg_get_serial_sequence('payments', 'payment_id'), {rows})",
    "VACUUM (ANALYZE)",
    "CHECKPOINT",  # the writing of it belongs to no round
)


def fill(servers: Servers, database: str, rows: int) -> None:
    """Writes the rows, brings the planner's figures up to date, and writes all to disk."""
    for statement in STATEMENTS:
        servers.query(database, statement.format(rows=rows))


EVENTS = """
    INSERT INTO events (payment_id, seq, type, from_status, to_status, actor, occurred_at, body,
        chain)
    SELECT payment_id, 1, 'payment.succeeded', 'PROCESSING', status, 'caller', created_at, body,
        sha256(convert_to(body, 'UTF8'))
    FROM (SELECT *, jsonb_build_object('specversion', '1.0', 'id', payment_id || '-1',
            'source', '/payment-service', 'type', 'payment.succeeded.v1',
            'subject', 'payments/' || payment_id, 'time', created_at,
            'datacontenttype', 'application/json', 'data', jsonb_build_object(
                'payment_id', payment_id, 'trip_id', trip_id, 'order_id', order_id,
                'rider_id', rider_id, 'driver_id', driver_id, 'user_id', user_id,
                'reference', reference, 'purpose', purpose, 'method', method,
                'provider', provider, 'from_status', 'PROCESSING', 'status', status,
                'amount', '104.86', 'amount_captured', '104.86', 'amount_refunded', '0.00',
                'currency', currency, 'failure_code', NULL,
                'transaction_reference', reference || '-1', 'actor', 'caller', 'caller', caller,
                'request_id', md5(reference), 'reason', NULL))::text AS body
        FROM payments WHERE payment_id <= {rows}) AS told
    ORDER BY payment_id
    ON CONFLICT DO NOTHING
"""
# Due only when the tables are vacuumed, so that no relay begins before.
_DELIVERIES = """
    INSERT INTO deliveries (payment_id, sink, seq, due_at, created_at)
    SELECT payment_id, '{sink}', 1, now() + interval '3 seconds' + payment_id * interval '1 us',
        now()
    FROM generate_series(1, {rows}::bigint) AS payment_id
"""
_STUCK = (
    "DELETE FROM lookups WHERE reference LIKE 'PAY-20250101-S%'",
    "DELETE FROM transactions WHERE reference LIKE 'PAY-20250101-S%'",
    "DELETE FROM payments WHERE reference LIKE 'PAY-20250101-S%'",
    """
    INSERT INTO payments (order_id, amount, currency, method, provider, status, reference, caller,
        created_at, updated_at)
    SELECT n, 10050, 'INR', 'CARD', 'sandbox', 'PROCESSING', 'PAY-20250101-S' || n, 'local',
        now() - interval '1 hour', now()
    FROM generate_series(1, {rows}::bigint) AS n
    """,
    """
    INSERT INTO transactions (payment_id, number, type, status, amount, currency, provider,
        reference, created_at, send_before, due_at)
    SELECT payment_id, 1, 'CHARGE', status, amount, currency, provider, reference || '-1',
        created_at, created_at, now()
    FROM payments WHERE reference LIKE 'PAY-20250101-S%'
    """,
)
_DELTAS = """
    INSERT INTO total_deltas (provider, method, currency, status, payments, created, entered,
        captured, refunds, refunded)
    SELECT 'cash', 'CASH', 'INR', 'SUCCESS', 1, 1, 1, 10050, 0, 0
    FROM generate_series(1, {rows}::bigint)
"""


def tell(servers: Servers, database: str, rows: int) -> None:
    """One event of each of the first so many payments, as a charge writes it."""
    servers.query(database, EVENTS.format(rows=rows))


def owe(servers: Servers, database: str, sinks: Iterable[str], rows: int) -> None:
    """The events of the first so many payments are owed to these sinks, and nothing else is."""
    servers.query(database, "TRUNCATE deliveries")
    for sink in sinks:
        servers.query(database, _DELIVERIES.format(sink=sink, rows=rows))
    servers.query(database, "VACUUM (ANALYZE) deliveries")


def stick(servers: Servers, database: str, rows: int) -> None:
    """So many payments wait for a look-up, of which the provider has never heard."""
    for statement in _STUCK:
        servers.query(database, statement.format(rows=rows))


def change(servers: Servers, database: str, rows: int) -> None:
    """So many changes wait to be folded into the totals."""
    servers.query(database, _DELTAS.format(rows=rows))
