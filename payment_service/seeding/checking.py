"""The checks that look beyond a row: at the rest of the file, and at what is there already."""

from __future__ import annotations

from sqlalchemy import Connection

MOST_LIVE = 2**15 - 1
"""Of one trip: each has a share of its own, a smallint from 0; one is left for a payment that comes
out as taken although it was given up."""


def find_doubles(connection: Connection) -> None:
    """Report every later row whose id or reference an earlier row of the file has used."""
    for column in ("payment_id", "reference"):
        connection.exec_driver_sql(
            f"""
            INSERT INTO faulty
            SELECT line, '{column} ' || {column} || ' is used on line ' || first || ' already'
            FROM fresh JOIN (
                SELECT {column}, min(line) AS first FROM fresh WHERE {column} IS NOT NULL
                GROUP BY {column} HAVING count(*) > 1
            ) AS used USING ({column})
            WHERE line > first
            """  # noqa: S608
        )


def drop_known(connection: Connection, *, currency: str) -> int:
    """Move the ids of rows that are in `payments` already from `fresh` to `known`; returns how
    many.

    A row is there if the payment stands as the file says. If the file says PENDING and the payment
    has moved on here since, its status, method, amount and currency are no longer history's: a
    charge takes the fare, by the method and provider that it was asked for.
    """
    connection.exec_driver_sql("CREATE TEMP TABLE known (payment_id bigint) ON COMMIT DROP")
    return connection.exec_driver_sql(
        """
        WITH gone AS (
            DELETE FROM fresh USING payments AS p
            WHERE p.payment_id = fresh.payment_id AND p.reference = fresh.reference
              AND p.created_at = fresh.created_at AND p.trip_id IS NOT DISTINCT FROM fresh.trip_id
              AND ((p.status, p.amount, p.method, p.currency)
                       = (fresh.status, fresh.amount, fresh.method, %(currency)s)
                   OR (fresh.status = 'PENDING' AND p.imported
                       AND (p.version > 1 OR p.status = 'PROCESSING')))
              AND fresh.line NOT IN (SELECT line FROM faulty)
            RETURNING p.payment_id
        )
        INSERT INTO known SELECT payment_id FROM gone
        """,
        {"currency": currency},
    ).rowcount


def find_conflicts(connection: Connection, *, currency: str) -> None:
    """Report rows whose id or reference is in `payments` with other content."""
    connection.exec_driver_sql(
        """
        INSERT INTO faulty
        SELECT fresh.line, 'payment_id ' || p.payment_id || ' is there already with another '
            || concat_ws(', ',
                CASE WHEN p.reference <> fresh.reference THEN 'reference' END,
                CASE WHEN p.trip_id IS DISTINCT FROM fresh.trip_id THEN 'trip_id' END,
                CASE WHEN p.created_at <> fresh.created_at THEN 'created_at' END,
                CASE WHEN p.amount <> fresh.amount THEN 'amount' END,
                CASE WHEN p.currency <> %(currency)s THEN 'currency' END,
                CASE WHEN p.method <> fresh.method THEN 'method' END,
                CASE WHEN p.status <> fresh.status THEN 'status' END)
        FROM fresh JOIN payments AS p USING (payment_id) WHERE fault IS NULL
        UNION ALL
        SELECT fresh.line, 'reference ' || p.reference || ' belongs to payment ' || p.payment_id
        FROM fresh JOIN payments AS p USING (reference)
        WHERE p.payment_id <> fresh.payment_id AND fault IS NULL
        """,
        {"currency": currency},
    )


def find_overcrowded(connection: Connection) -> None:
    """Report the live rows of `crowded` trips for which no share would be left."""
    connection.exec_driver_sql(
        """
        INSERT INTO faulty
        SELECT line, 'trip_id ' || trip_id || ' has %(most)s live payments without this one, and '
            || 'can have no more'
        FROM (
            SELECT line, trip_id,
                   coalesce(there, 0) + row_number() OVER (PARTITION BY trip_id ORDER BY line)
                       AS place
            FROM crowded JOIN fresh USING (trip_id) LEFT JOIN (
                SELECT trip_id, count(*) AS there FROM crowded JOIN payments AS p USING (trip_id)
                WHERE p.live AND p.purpose = 'FARE' GROUP BY trip_id
            ) AS standing USING (trip_id)
            WHERE status IN ('SUCCESS', 'REFUNDED', 'PENDING')
        ) AS placed WHERE place > %(most)s
        """,
        {"most": MOST_LIVE},
    )


def drop_faulty(connection: Connection) -> int:
    """Take the faulty rows out of `fresh`; returns how many lines are faulty."""
    connection.exec_driver_sql("DELETE FROM fresh WHERE line IN (SELECT line FROM faulty)")
    return int(connection.exec_driver_sql("SELECT count(DISTINCT line) FROM faulty").scalar_one())
