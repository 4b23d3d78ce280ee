"""What was promised since the backup comes back too: the answers kept under keys, and which events
were delivered to whom."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, text

from payment_service.extensions import db
from payment_service.models import Delivery, IdempotencyKey
from payment_service.services.replaced_database import PAGE, putting

_KEY = "caller, operation, key"
_KEYS = text(f"""
    SELECT {_KEY}, payment_id, transaction_number, answer_body IS NOT NULL AS answered
    FROM idempotency_keys
    WHERE ({_KEY}) > (:caller, :operation, :key)
    ORDER BY {_KEY} LIMIT :page
""")  # noqa: S608 (names of columns only)
# A key that is answered here stays as it is, unless its time was over and it was claimed anew.
_MISSING = text("""
    SELECT n.caller, n.operation, n.key
    FROM json_to_recordset(CAST(:rows AS json)) AS n(caller text, operation text, key text,
        payment_id bigint, transaction_number smallint, answered boolean)
    LEFT JOIN idempotency_keys k USING (caller, operation, key)
    WHERE k.caller IS NULL OR k.answer_body IS NULL OR k.payment_id IS DISTINCT FROM n.payment_id
       OR k.transaction_number IS DISTINCT FROM n.transaction_number
""")
_WHOLE_KEYS = text("""
    SELECT CAST(coalesce(json_agg(k), '[]') AS text) FROM idempotency_keys k
    JOIN json_to_recordset(CAST(:rows AS json)) AS n(caller text, operation text, key text)
        USING (caller, operation, key)
""")
_UNANSWERED = text("""
    SELECT caller, operation, key FROM idempotency_keys WHERE answer_body IS NULL
""")
_GONE = text("""
    SELECT n.caller, n.operation, n.key
    FROM json_to_recordset(CAST(:rows AS json)) AS n(caller text, operation text, key text)
    LEFT JOIN idempotency_keys k USING (caller, operation, key) WHERE k.caller IS NULL
""")
# Only where the request surely never left us is a key free again. One that is gone from the
# replaced database for another reason, such as an emptied table, goes on to protect its caller.
_FREE = text("""
    DELETE FROM idempotency_keys k
    USING json_to_recordset(CAST(:rows AS json)) AS n(caller text, operation text, key text),
        transactions t
    WHERE (k.caller, k.operation, k.key) = (n.caller, n.operation, n.key)
      AND t.payment_id = k.payment_id AND t.number = k.transaction_number
      AND t.status = 'FAILED' AND t.failure_code = 'provider_unavailable'
""")
# Of a payment that could not come back: the caller is held until its time is over, and not told
# that the key is free.
_HOLD = text("""
    UPDATE idempotency_keys k SET locked_until = expires_at
    WHERE answer_body IS NULL
      AND NOT EXISTS (SELECT FROM payments p WHERE p.payment_id = k.payment_id)
""")

_OWED = text("""
    SELECT payment_id, sink, seq FROM deliveries
    WHERE done_at IS NULL AND (payment_id, sink, seq) > (:payment_id, :sink, :seq)
    ORDER BY payment_id, sink, seq LIMIT :page
""")
_SAME_THERE = text("""
    SELECT CAST(coalesce(json_agg(d), '[]') AS text) FROM deliveries d
    JOIN json_to_recordset(CAST(:rows AS json)) AS n(payment_id bigint, sink text, seq integer)
        USING (payment_id, sink, seq)
""")
_REAPED_THERE = text("""
    SELECT payment_id, sink, seq
    FROM json_to_recordset(CAST(:rows AS json)) AS n(payment_id bigint, sink text, seq integer)
    JOIN events USING (payment_id, seq) LEFT JOIN deliveries d USING (payment_id, sink, seq)
    WHERE d.payment_id IS NULL
""")
_REAP = text("""
    DELETE FROM deliveries d
    USING json_to_recordset(CAST(:rows AS json)) AS n(payment_id bigint, sink text, seq integer)
    WHERE (d.payment_id, d.sink, d.seq) = (n.payment_id, n.sink, n.seq) AND d.done_at IS NULL
""")
_SINKS = text("SELECT CAST(coalesce(json_agg(s), '[]') AS text) FROM sink_totals s")
_MORE = text("""
    INSERT INTO sink_totals (sink, delivered, parked)
    SELECT sink, delivered, parked
    FROM json_populate_recordset(CAST(NULL AS sink_totals), CAST(:rows AS json))
    ON CONFLICT (sink) DO UPDATE SET
        delivered = greatest(sink_totals.delivered, EXCLUDED.delivered),
        parked = greatest(sink_totals.parked, EXCLUDED.parked)
""")


def bring_keys_back(replaced: Connection) -> int:
    """Each key as it stands in the replaced database, with its answer; those that were freed there
    are free. Gives how many came."""
    came = 0
    last: dict[str, object] = {"caller": "", "operation": "", "key": ""}
    put = putting(IdempotencyKey.__table__)
    while page := _maps(replaced, _KEYS, {**last, "page": PAGE}):
        last = {name: page[-1][name] for name in last}
        with db.engine.begin() as connection:
            missing = _maps(connection, _MISSING, {"rows": json.dumps(page)})
            whole = replaced.execute(_WHOLE_KEYS, {"rows": json.dumps(missing)}).scalar_one()
            connection.execute(put, {"rows": whole})
        came += len(missing)
    with db.engine.begin() as connection:
        waiting = _maps(connection, _UNANSWERED, {})
        gone = _maps(replaced, _GONE, {"rows": json.dumps(waiting)})
        connection.execute(_FREE, {"rows": json.dumps(gone)})
        connection.execute(_HOLD)
    return came


def settle_deliveries(replaced: Connection) -> None:
    """What was delivered since the backup is not owed any more."""
    last: dict[str, object] = {"payment_id": 0, "sink": "", "seq": 0}
    put = putting(Delivery.__table__)
    while True:
        with db.engine.begin() as connection:
            page = _maps(connection, _OWED, {**last, "page": PAGE})
            if not page:
                connection.execute(_MORE, {"rows": replaced.execute(_SINKS).scalar_one()})
                return
            last = page[-1]
            there = replaced.execute(_SAME_THERE, {"rows": json.dumps(page)}).scalar_one()
            connection.execute(put, {"rows": there})
            reaped = _maps(replaced, _REAPED_THERE, {"rows": json.dumps(page)})
            connection.execute(_REAP, {"rows": json.dumps(reaped)})


def _maps(connection: Connection, query: Any, values: dict[str, object]) -> list[dict[str, object]]:
    return [dict(row) for row in connection.execute(query, values).mappings()]
