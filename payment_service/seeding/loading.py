"""From `fresh` into the tables: shares, payments, refunds, totals, and the identity."""

from __future__ import annotations

from sqlalchemy import Connection

# How many ids the identity counts through one by one; over a longer way it jumps.
_SHORT_WAY = 10_000


def find_crowded(connection: Connection) -> tuple[int, ...]:
    """Fill `crowded` with the trips that get several live payments; returns those trips."""
    connection.exec_driver_sql(
        """
        CREATE TEMP TABLE crowded ON COMMIT DROP AS
        WITH arriving AS NOT MATERIALIZED (
            SELECT trip_id FROM fresh
            WHERE trip_id IS NOT NULL AND status IN ('SUCCESS', 'REFUNDED', 'PENDING')
        )
        SELECT trip_id FROM arriving GROUP BY trip_id HAVING count(*) > 1
        UNION
        SELECT trip_id FROM arriving JOIN payments AS p USING (trip_id)
        WHERE p.live AND p.purpose = 'FARE'
        """
    )
    trips = connection.exec_driver_sql("SELECT trip_id FROM crowded ORDER BY trip_id")
    return tuple(trips.scalars())


def assign_shares(connection: Connection) -> None:
    """Fill `shares` for the live rows of `crowded` trips.

    They take their trip's free shares from 0 up: paid ones first, then by time and id. What
    stands in `payments` keeps its share, but for a PENDING payment on share 0 of a trip that
    history has paid for: it makes room, or the next charge would take it over and take the fare
    a second time. It all stays as it is until the import is committed: a payment that died
    meanwhile would leave its place to a charge that can't see yet that history has paid.
    """
    connection.exec_driver_sql(
        "SELECT FROM payments WHERE live AND trip_id IN (SELECT trip_id FROM crowded)"
        " ORDER BY payment_id FOR UPDATE"
    )
    connection.exec_driver_sql(
        """
        CREATE TEMP TABLE shares ON COMMIT DROP AS
        WITH arriving AS (
            SELECT payment_id, trip_id, created_at,
                   array_position(ARRAY['SUCCESS', 'REFUNDED', 'PENDING'], status) AS rank
            FROM fresh JOIN crowded USING (trip_id)
            WHERE status IN ('SUCCESS', 'REFUNDED', 'PENDING')
        ), there AS (
            SELECT p.payment_id, trip_id, p.created_at, p.share,
                   p.share = 0 AND p.status = 'PENDING' AND trip_id IN (
                       SELECT trip_id FROM arriving WHERE rank < 3
                   ) AS moves
            FROM crowded JOIN payments AS p USING (trip_id) WHERE p.live AND p.purpose = 'FARE'
        ), queue AS (
            SELECT payment_id, trip_id, created_at, rank FROM arriving
            UNION ALL
            SELECT payment_id, trip_id, created_at, 3 FROM there WHERE moves
        ), places AS (
            SELECT trip_id, generate_series(0, count(*) - 1) AS share
            FROM (SELECT trip_id FROM queue
                  UNION ALL SELECT trip_id FROM there WHERE NOT moves) AS needed
            GROUP BY trip_id
            EXCEPT ALL
            SELECT trip_id, share FROM there WHERE NOT moves
        )
        SELECT payment_id, trip_id, share::smallint
        FROM (
            SELECT payment_id, trip_id, row_number() OVER (
                PARTITION BY trip_id ORDER BY rank, created_at, payment_id) AS turn
            FROM queue
        ) AS waiting JOIN (
            SELECT trip_id, share, row_number() OVER (PARTITION BY trip_id ORDER BY share) AS turn
            FROM places
        ) AS free USING (trip_id, turn)
        """
    )
    # Or the planner takes the empty table for a big one, and the insert loses the file's order,
    # which is that of most indexes.
    connection.exec_driver_sql("ANALYZE shares")


def insert_payments(connection: Connection, *, currency: str) -> int:
    """Put `fresh` into `payments`; returns how many rows. There are no events and no transactions:
    what happened before our time is not ours to invent."""
    connection.exec_driver_sql(
        "UPDATE payments AS p SET share = shares.share FROM shares"
        " WHERE p.payment_id = shares.payment_id AND p.status = 'PENDING'"
    )
    return connection.exec_driver_sql(
        """
        INSERT INTO payments (
            payment_id, trip_id, share, amount, currency, authorized, captured, refunded, method,
            provider, status, reference, caller, created_at, updated_at, completed_at, captured_at,
            imported)
        SELECT payment_id, trip_id, coalesce(share, 0), amount, %(currency)s,
               CASE WHEN paid THEN amount ELSE 0 END, CASE WHEN paid THEN amount ELSE 0 END,
               CASE WHEN status = 'REFUNDED' THEN amount ELSE 0 END, method,
               'import', status, reference, 'import', created_at, created_at,
               CASE WHEN status <> 'PENDING' THEN created_at END,
               CASE WHEN paid THEN created_at END, true
        FROM (SELECT *, status IN ('SUCCESS', 'REFUNDED') AS paid FROM fresh) AS fresh
        LEFT JOIN (SELECT payment_id, share FROM shares) AS shares USING (payment_id)
        """,
        {"currency": currency},
    ).rowcount


def insert_refunds(connection: Connection, *, currency: str) -> None:
    """A refund for each REFUNDED row, so that refunds and receipts add up to the payment."""
    connection.exec_driver_sql(
        """
        INSERT INTO refunds (payment_id, amount, currency, status, reason, caller,
                             created_at, updated_at, completed_at)
        SELECT payment_id, amount, %(currency)s, 'SUCCESS', 'imported', 'import',
               created_at, created_at, created_at
        FROM fresh WHERE status = 'REFUNDED' ORDER BY created_at, payment_id
        """,
        {"currency": currency},
    )


def add_to_totals(connection: Connection, *, currency: str) -> None:
    """Adds these rows to the totals of /metrics and the figures of their days, in the transaction
    that brings them in. A delta is for a quarter of an hour: it lies within one hour and one day of
    any zone."""
    connection.exec_driver_sql(
        """
        INSERT INTO total_deltas (provider, method, currency, status,
                                  payments, created, entered, captured, refunds, refunded,
                                  at, captured_now, refunded_now)
        SELECT 'import', method, %(currency)s, status, n, n, n, captured, refunds, refunded,
               at, captured, refunded
        FROM (
            SELECT method, status, at, count(*) AS n,
                   coalesce(sum(amount) FILTER (WHERE status IN ('SUCCESS', 'REFUNDED')), 0)
                       AS captured,
                   count(*) FILTER (WHERE status = 'REFUNDED') AS refunds,
                   coalesce(sum(amount) FILTER (WHERE status = 'REFUNDED'), 0) AS refunded
            FROM fresh, date_bin('15 minutes', created_at, timestamptz '2000-01-01Z') AS at
            GROUP BY method, status, at
        ) AS summed
        """,
        {"currency": currency},
    )


def move_identity(connection: Connection) -> None:
    """Move the identity past the largest id of `fresh`, never back.

    Before the insert, so that a payment that is created meanwhile gets an id that is still free.
    Others draw ids at the same time, and setval would undo that: so the way is walked by nextval.
    A way too long for that is jumped, as nobody draws _SHORT_WAY ids within one statement.
    """
    sequence = connection.exec_driver_sql(
        "SELECT pg_get_serial_sequence('payments', 'payment_id')"
    ).scalar_one()
    largest, last = connection.exec_driver_sql(
        f"""
        SELECT (SELECT max(payment_id) FROM fresh),
               (SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM {sequence})
        """  # noqa: S608 (a name that PostgreSQL gave)
    ).one()
    if largest is None or largest <= last:
        return
    if largest - last <= _SHORT_WAY:
        step = "SELECT count(nextval(%(sequence)s)) FROM generate_series(1, %(way)s)"
    else:
        step = "SELECT setval(%(sequence)s, %(largest)s)"
    connection.exec_driver_sql(
        step, {"sequence": sequence, "way": largest - last, "largest": largest}
    )
