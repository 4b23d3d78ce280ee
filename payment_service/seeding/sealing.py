"""What audit compares imported rows with: history has no events, so each row leaves a seal."""

from __future__ import annotations

from sqlalchemy import Connection

# Each in the order of services/audit_imports.CONTENT. An array, because a million names of columns
# would be most of the table.
_CONTENT = """json_build_array(trip_id, share, amount, currency, method, status, reference,
    (extract(epoch FROM created_at) * 1000000)::bigint)::text"""


def seal(connection: Connection) -> None:
    """Seal what this import brought, and what stood there as the file says but has no seal yet,
    which is history from before there were seals. What a charge has taken over has its events.

    The time is that of the writing: the transaction's own may be hours back, and a digest as of
    then, taken meanwhile, would later be another.
    """
    connection.exec_driver_sql(
        f"""
        INSERT INTO import_seals (payment_id, sealed_at, content)
        SELECT payment_id, clock_timestamp(), {_CONTENT}
        FROM (SELECT payment_id FROM fresh UNION ALL SELECT payment_id FROM known) AS sent
        JOIN payments USING (payment_id)
        WHERE imported AND audit_head IS NULL
        ORDER BY payment_id
        ON CONFLICT (payment_id) DO NOTHING
        """  # noqa: S608 (columns of ours)
    )
