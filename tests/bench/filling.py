"""Fills a migrated database with a history of so many payments, by SQL alone.

Payments, one request to the provider each, and keys of the last tenth; as if one came every ten
seconds. No events: nothing that is measured here reads them.
"""

from __future__ import annotations

from tests.bench.world import Servers

_STATEMENTS = (
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
    "SELECT setval(pg_get_serial_sequence('payments', 'payment_id'), {rows})",
    "VACUUM (ANALYZE)",
    "CHECKPOINT",  # the writing of it belongs to no round
)


def fill(servers: Servers, database: str, rows: int) -> None:
    """Writes the rows, brings the planner's figures up to date, and writes all to disk."""
    for statement in _STATEMENTS:
        servers.query(database, statement.format(rows=rows))
