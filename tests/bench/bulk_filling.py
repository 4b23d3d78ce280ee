"""Fills a migrated database with millions of payments in minutes, for the panel's pages.

The rows are those of `filling`, with refunds, parked deliveries, requests for refunds and one
payment that has forty events. Indexes are taken off before and built as they were behind the rows,
and foreign keys are not looked at row by row: what is there in the end is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2

from tests.bench import filling
from tests.bench.world import Servers

TOLD = 100_000
"""Of so many of the first payments there is an event: nothing that the panel reads scans them."""
LONG_STORY = 40
"""Events of the payment with the longest story."""
TELLS = 3
"""That payment. It is a paid one."""
NUMBER = 7
"""Is a payment, an order, a refund, and the rider, driver and user of more than are shown."""
TABLES = "payments, transactions, refunds, idempotency_keys, events, deliveries"
# No index of a constraint: those stay, and the rows come in their order.
_INDEXES = """
    SELECT format('%I', indexrelid::regclass::text), pg_get_indexdef(indexrelid)
    FROM pg_index
    WHERE indrelid::regclass::text = ANY (string_to_array('{tables}', ', '))
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""
REFUNDS = """
    INSERT INTO refunds (payment_id, amount, currency, status, caller, provider_reference,
        created_at, updated_at)
    SELECT payment_id, amount, currency, 'SUCCESS', caller, 're_' || payment_id,
        created_at + interval '1 hour', created_at
    FROM payments WHERE status = 'REFUNDED' ORDER BY payment_id
"""
CASH = """
    UPDATE payments SET caller_reference = 'ride-' || payment_id, method = 'CASH'
    WHERE status = 'PENDING'
"""
# Whoever has this number has as many rows to show at each size.
_NUMBERED = """
    UPDATE payments SET rider_id = {number}, driver_id = {number}, user_id = {number}
    WHERE payment_id BETWEEN 101 AND 110
"""
_HEARD = """
    INSERT INTO deliveries (payment_id, sink, seq, attempts, due_at, done_at, parked_at, last_error,
        created_at)
    SELECT payment_id, 'redis', 1, 1, occurred_at,
        CASE WHEN payment_id % 100 > 0 THEN occurred_at END,
        CASE WHEN payment_id % 100 = 0 THEN occurred_at END,
        CASE WHEN payment_id % 100 = 0 THEN 'HTTP 500' END, occurred_at
    FROM events WHERE seq = 1 ORDER BY payment_id
"""
# What its events tell is the same each time, as if refunded bit by
# bit; the page reads and draws all forty.
_STORY = """
    INSERT INTO events (payment_id, seq, type, from_status, to_status, actor, occurred_at, body,
        chain)
    SELECT payment_id, n, type, from_status, to_status, actor,
        occurred_at + n * interval '1 minute', body, chain
    FROM events, generate_series(2, {story}) AS n WHERE payment_id = {tells}
"""
_ASKED = """
    INSERT INTO refund_requests (payment_id, amount, currency, reason, asked_by, asked_at,
        expires_at)
    SELECT payment_id, 100, currency, 'Driver was late', 'operator:999', created_at,
        now() + interval '7 days'
    FROM payments WHERE status = 'SUCCESS' ORDER BY payment_id DESC LIMIT 20
"""


def fill(servers: Servers, database: str, rows: int) -> None:
    """Writes all rows, brings the planner's figures up to date, and writes all to disk."""
    url = servers.url(database, superuser=True).set(drivername="postgresql")
    connection = psycopg2.connect(url.render_as_string(hide_password=False))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute("SET synchronous_commit = off")
            cursor.execute("SET maintenance_work_mem = '512MB'")
            with _indexes_behind(cursor):
                for statement in (*filling.STATEMENTS[:-2], REFUNDS, CASH, _NUMBERED):
                    cursor.execute(statement.format(rows=rows, number=NUMBER))
            for statement in (
                filling.EVENTS.format(rows=min(TOLD, rows)),
                _STORY.format(story=LONG_STORY, tells=TELLS),
                _HEARD,
                _ASKED,
                *filling.STATEMENTS[-2:],
            ):
                cursor.execute(statement)
    finally:
        connection.close()


@contextmanager
def _indexes_behind(cursor: Any) -> Iterator[None]:
    cursor.execute(_INDEXES.format(tables=TABLES))
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        cursor.execute(definition)
