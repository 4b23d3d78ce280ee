"""The loop that delivers: lease a batch of heads, deliver it, mark it. At least once, and the first
deliveries of a payment's events to a sink in their order.

No database transaction is open while a sink is spoken to. A lease is `due_at` pushed into the
future, so what a killed relay had in hand comes back by itself; any number of relays may run.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from flask import current_app
from sqlalchemy import text

from payment_service.config import settings
from payment_service.domain import jsontext
from payment_service.domain.events import event_id
from payment_service.extensions import HOT, db
from payment_service.outbox import routes, sinks
from payment_service.outbox.contract import DeliveryEnding, LeasedDelivery, Sink

log = structlog.get_logger(__name__)

FIRST_WAIT_SECONDS = 1.0
"""After the first failure; it doubles with each. A restart of the other side takes seconds."""

PARKED_WAIT_SECONDS = 300.0
"""How often a delivery behind a parked one is looked at. Whoever releases that one wakes it too, so
this only bounds the harm of a wake-up that was lost in a race."""

# A delivery behind an undelivered one of its payment must wait. It is put off until that one is
# tried next, or all the blocked ones of a sink that is down would be read again at every step, in
# front of those that can go.
_LEASE = text("""
    WITH due AS (
        SELECT payment_id, seq, due_at FROM deliveries
        WHERE sink = :sink AND done_at IS NULL AND parked_at IS NULL AND due_at <= now()
        ORDER BY due_at LIMIT :batch
        FOR UPDATE SKIP LOCKED
    ), placed AS (
        SELECT due.*, earlier.due_at AS earlier_due_at, earlier.parked_at AS earlier_parked_at,
               earlier.seq IS NULL AS is_head
        FROM due LEFT JOIN LATERAL (
            SELECT d.seq, d.due_at, d.parked_at FROM deliveries d
            WHERE d.payment_id = due.payment_id AND d.sink = :sink
              AND d.seq < due.seq AND d.done_at IS NULL
            ORDER BY d.seq LIMIT 1
        ) earlier ON true
    )
    UPDATE deliveries d SET due_at = CASE
        WHEN placed.is_head THEN now() + make_interval(secs => :lease)
        WHEN placed.earlier_parked_at IS NOT NULL THEN now() + make_interval(secs => :parked_wait)
        ELSE greatest(placed.earlier_due_at, now() + interval '1 second') END
    FROM placed JOIN events e ON e.payment_id = placed.payment_id AND e.seq = placed.seq
    WHERE d.payment_id = placed.payment_id AND d.sink = :sink AND d.seq = placed.seq
    RETURNING d.payment_id, d.seq, d.attempts, d.due_at AS leased_until, d.traceparent,
              e.type, e.body, placed.is_head, placed.due_at AS was_due_at
""")

# Locked in the order of the key, so that two relays that both believe to hold a batch (one was
# paused for longer than its lease) don't lock each other out.
_TOLD = """
    told AS (
        SELECT d.payment_id, d.seq, n.error, n.wait
        FROM json_to_recordset(:endings) AS n(
            payment_id bigint, seq integer, leased_until timestamptz, error text,
            wait double precision)
        JOIN deliveries d ON d.payment_id = n.payment_id AND d.sink = :sink AND d.seq = n.seq
        WHERE d.done_at IS NULL AND (n.error IS NULL OR d.due_at = n.leased_until)
        ORDER BY d.payment_id, d.seq
        FOR UPDATE OF d
    )
"""

# The next one of the payment may have been put off; it is due from now on.
_DELIVERED = text(f"""
    WITH {_TOLD}, done AS (
        UPDATE deliveries d SET done_at = now(), parked_at = NULL, attempts = attempts + 1
        FROM told WHERE d.payment_id = told.payment_id AND d.sink = :sink AND d.seq = told.seq
    ), woken AS (
        UPDATE deliveries d SET due_at = now() FROM told
        WHERE d.payment_id = told.payment_id AND d.sink = :sink AND d.parked_at IS NULL
          AND d.seq = (SELECT min(n.seq) FROM deliveries n
                       WHERE n.payment_id = told.payment_id AND n.sink = :sink
                         AND n.seq > told.seq AND n.done_at IS NULL)
        RETURNING 1
    ), counted AS (
        INSERT INTO sink_totals AS total (sink, delivered)
        SELECT :sink, count(*) FROM told
        ON CONFLICT (sink) DO UPDATE SET delivered = total.delivered + EXCLUDED.delivered
    )
    SELECT (SELECT count(*) FROM told) AS delivered, (SELECT count(*) FROM woken) AS woken
""")  # noqa: S608 (our own text)

# Only the relay that still holds the lease may say that a delivery failed.
_FAILED = text(f"""
    WITH {_TOLD}, failed AS (
        UPDATE deliveries d SET
            attempts = d.attempts + 1, last_error = told.error,
            due_at = now() + make_interval(secs => told.wait),
            parked_at = CASE WHEN d.attempts + 1 >= :most THEN now() END
        FROM told WHERE d.payment_id = told.payment_id AND d.sink = :sink AND d.seq = told.seq
        RETURNING d.payment_id, d.seq, d.parked_at, d.last_error
    ), counted AS (
        INSERT INTO sink_totals AS total (sink, parked)
        SELECT :sink, count(*) FROM failed WHERE parked_at IS NOT NULL
        ON CONFLICT (sink) DO UPDATE SET parked = total.parked + EXCLUDED.parked
    )
    SELECT payment_id, seq, last_error FROM failed WHERE parked_at IS NOT NULL
""")  # noqa: S608

_GIVEN_BACK = text(f"""
    WITH {_TOLD}
    UPDATE deliveries d SET due_at = now()
    FROM told WHERE d.payment_id = told.payment_id AND d.sink = :sink AND d.seq = told.seq
""")  # noqa: S608

_REAP = text("""
    DELETE FROM deliveries WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM deliveries
        WHERE done_at < now() - make_interval(secs => :keep)
        ORDER BY done_at LIMIT 5000 FOR UPDATE SKIP LOCKED
    ))
""")


def run_once(names: Iterable[str] | None = None) -> dict[str, int]:
    """One batch for each of these sinks that is on (None: all), one sink after the other.

    Counts what was `delivered`, `failed`, `parked` and put off behind another (`blocked`); `more`
    says that it is worth running again at once.
    """
    counts: Counter[str] = Counter()
    for name in routes.SINKS if names is None else names:
        sink = sinks.get(name)
        if sink is not None:
            counts.update(_step(name, sink))
    return dict(counts)


def reap() -> dict[str, int]:
    """Deletes deliveries that were done long ago, 5000 at once so that no lock is long."""
    with db.engines[HOT].connect() as connection:
        keep = {"keep": settings().outbox_keep_seconds}
        gone = connection.execute(_REAP, keep).rowcount
    return {"reaped": gone, "more": gone // 5000}


def _step(name: str, sink: Sink) -> Counter[str]:
    # A sink that took nothing of the last batch is tried with one delivery.
    failing = _failing()
    size = 1 if name in failing else sink.batch
    heads, blocked = lease(name, sink, size)
    if not heads:
        sink.tend()
        return Counter(blocked=blocked, more=int(blocked == size))
    endings = sink.deliver(heads)
    counts = mark(name, endings) + Counter(blocked=blocked)
    if any(ending.error is None for ending in endings):
        if name in failing:
            failing.discard(name)
            log.info("sink_is_back", sink=name)
            counts["more"] += 1
        counts["more"] += int(len(heads) + blocked == size)
    elif name not in failing:
        failing.add(name)
        log.warning("sink_fails", sink=name, error=endings[0].error)
    return counts


def _failing() -> set[str]:
    names: set[str] = current_app.extensions.setdefault("failing_sinks", set())
    return names


def lease(name: str, sink: Sink, size: int) -> tuple[list[LeasedDelivery], int]:
    """The deliveries that are this relay's now, oldest first, and how many were put off."""
    values = {
        "sink": name,
        "batch": size,
        "lease": sink.lease_seconds,
        "parked_wait": PARKED_WAIT_SECONDS,
    }
    with db.engines[HOT].connect() as connection:
        found = connection.execute(_LEASE, values).all()
    heads = sorted((row for row in found if row.is_head), key=lambda row: row.was_due_at)
    return [
        LeasedDelivery(
            payment_id=row.payment_id,
            seq=row.seq,
            event_id=event_id(row.payment_id, row.seq),
            type=row.type,
            body=row.body,
            attempts=row.attempts,
            leased_until=row.leased_until,
            traceparent=row.traceparent,
        )
        for row in heads
    ], len(found) - len(heads)


def mark(name: str, endings: Sequence[DeliveryEnding]) -> Counter[str]:
    """Writes down how deliveries went; how many were `delivered`, `failed` and `parked`."""
    counts: Counter[str] = Counter()
    done = [ending for ending in endings if ending.error is None]
    failed = [ending for ending in endings if ending.error is not None and ending.tried]
    untried = [ending for ending in endings if not ending.tried]
    # Each statement by itself: none holds its locks while the next one waits.
    with db.engines[HOT].connect() as connection:
        if done:
            row = connection.execute(_DELIVERED, _values(name, done)).one()
            counts.update(delivered=row.delivered, more=int(row.woken > 0))
        if failed:
            limit = {"most": settings().outbox_max_attempts}
            parked = connection.execute(_FAILED, _values(name, failed) | limit).all()
            counts.update(failed=len(failed), parked=len(parked))
            for row in parked:
                log.error("delivery_parked", sink=name, **row._mapping)
        if untried:
            connection.execute(_GIVEN_BACK, _values(name, untried))
    return counts


def _values(name: str, endings: Sequence[DeliveryEnding]) -> dict[str, Any]:
    told = [ending.as_json(seconds_to_wait(ending)) for ending in endings]
    return {"sink": name, "endings": jsontext.dumps(told)}


def seconds_to_wait(ending: DeliveryEnding) -> float:
    """Seconds until the next try: doubling, at most as long as is set, with half of it left to
    chance so that many that failed together don't come back together."""
    longest = settings().outbox_backoff_max_seconds
    wait = min(longest, FIRST_WAIT_SECONDS * 2.0 ** min(ending.delivery.attempts, 40))
    return max(wait * random.uniform(0.5, 1.0), min(ending.retry_after, longest))
