"""The one door through which a status moves: plan a change from a row, apply it if nobody was
faster, with its events, deliveries, totals and the caller's answer, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, PoolProxiedConnection

from payment_service.config import settings
from payment_service.domain import events, jsontext, money, states
from payment_service.domain.callers import Caller
from payment_service.domain.vocabulary import TransactionStatus
from payment_service.idempotency import Key
from payment_service.models import IdempotencyKey
from payment_service.models.columns import sql_types
from payment_service.outbox import routes
from payment_service.services.moves import snapshots, total_changes
from payment_service.services.moves.rows import PAYMENT, TRANSACTION, PaymentChanges, Row, dumped
from payment_service.statements import Statement

OPEN = (TransactionStatus.PROCESSING, TransactionStatus.REQUIRES_ACTION)

_WRITTEN = frozenset(PaymentChanges.__annotations__)
_OUTCOME = (
    *("status", "amount_approved", "provider_reference", "fee", "failure_code", "failure_message"),
    *("occurred_at", "due_at"),
)
"""What a change writes of a request whose outcome it is."""

_TYPES = {
    **sql_types(IdempotencyKey.__table__),
    **sql_types(TRANSACTION),
    **sql_types(PAYMENT),
    "old_version": "integer",
    **{f"t_{name}": kind for name, kind in sql_types(TRANSACTION).items()},
    **dict.fromkeys(("events", "deliveries", "deltas"), "json"),
}

# All or nothing, in one round trip: everything is taken FROM the row that `l` locked at the
# version that the change was planned from. Locks in the order payment, transaction, key. The rows
# are named by the parameter and not by l's column: planned on empty tables, a join would be made
# by the number alone and read the whole index (from 782 to 313 charges a second as rows grew).
_APPLY = Statement(
    "apply_change",
    f"""
    WITH l AS (
        SELECT payment_id FROM payments
        WHERE payment_id = :payment_id AND version = :old_version FOR UPDATE
    ), p AS (
        UPDATE payments SET
            version = :version, audit_head = :audit_head, updated_at = :updated_at,
            {", ".join(f"{name} = :{name}" for name in sorted(_WRITTEN))}
        FROM l WHERE payments.payment_id = :payment_id
    ), t AS (
        UPDATE transactions SET
            {", ".join(f"{name} = :t_{name}" for name in _OUTCOME)}
        FROM l WHERE transactions.payment_id = :payment_id AND transactions.number = :number
    ), e AS (
        INSERT INTO events (payment_id, seq, type, from_status, to_status, actor, request_id,
                            reason, occurred_at, body, snapshot, chain)
        SELECT l.payment_id, n.seq, n.type, n.from_status, n.to_status, n.actor, n.request_id,
               n.reason, :updated_at, n.body, n.snapshot, decode(n.chain, 'hex')
        FROM l, json_to_recordset(:events) AS n(
            seq integer, type text, from_status text, to_status text, actor text,
            request_id text, reason text, body text, snapshot text, chain text)
    ), d AS (
        INSERT INTO deliveries (sink, payment_id, seq, due_at, created_at)
        SELECT n.sink, l.payment_id, n.seq, :updated_at, :updated_at
        FROM l, json_to_recordset(:deliveries) AS n(sink text, seq integer)
    ), x AS (
        INSERT INTO total_deltas (provider, method, currency, status, payments, created, entered,
                                  captured, refunds, refunded)
        SELECT n.provider, n.method, n.currency, n.status, n.payments, n.created, n.entered,
               n.captured, n.refunds, n.refunded
        FROM l, json_to_recordset(:deltas) AS n(
            provider text, method text, currency text, status text, payments bigint,
            created bigint, entered bigint, captured bigint, refunds bigint, refunded bigint)
    ), k AS (
        UPDATE idempotency_keys SET
            answer_status = :answer_status, answer_body = :answer_body, locked_until = NULL
        FROM l WHERE caller = :caller AND operation = :operation AND key = :key
            AND answer_body IS NULL
    )
    SELECT payment_id FROM l
    """,  # noqa: S608 - our own columns
    _TYPES,
)

_NO_TRANSACTION = dict.fromkeys(("number", *(f"t_{name}" for name in _OUTCOME)))
_NO_KEY = dict.fromkeys(("caller", "operation", "key", "answer_status", "answer_body"))


class NotWritten(Exception):
    """A change that could not be written as it was planned: a mistake of ours, never a caller's."""


@dataclass(frozen=True)
class News:
    """One thing to tell: the event's type, who did it and why, and more for its data."""

    type: str
    caller: Caller
    reason: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """A planned move: the rows as they were counted, as they stand and as they shall be, and the
    events. `contradicts` says that evidence overturns what callers had been told.
    """

    before: Row
    standing: Row
    payment: Row
    transaction: Row | None
    news: Sequence[News]
    events: Sequence[dict[str, Any]]
    contradicts: bool = False


def plan(
    *,
    payment: Row,
    moment: datetime,
    news: Sequence[News],
    changes: PaymentChanges,
    transaction: Row | None = None,
    asked: Row | None = None,
    before: Row | None = None,
) -> Change:
    """A change of `payment`, as it stands, to `changes` at `moment`, told as `news`. Nothing is
    written. Raises NotWritten for a change that `apply` does not write.

    `transaction` is the request whose outcome this is, as it shall be; `asked` one that begins
    with this change, which the caller writes. `before` is the payment as it stood until another
    statement of this transaction wrote more of it: the totals have counted it like that.
    """
    if unwritten := changes.keys() - _WRITTEN:
        raise NotWritten(f"apply does not write {sorted(unwritten)} of a payment")
    after = {**payment, **changes, "updated_at": moment}
    after["version"] = payment["version"] + len(news)
    told = []
    head = payment["audit_head"]
    snapshot = snapshots.of(after, [row for row in (transaction, asked) if row])
    for seq, item in enumerate(news, start=payment["version"] + 1):
        body = events.cloud_event(
            payment_id=payment["payment_id"],
            seq=seq,
            event_type=item.type,
            occurred_at=moment,
            data=_event_data(payment, after, transaction, item),
        )
        head = events.chained(head, body, snapshot)
        told.append(
            {
                "seq": seq,
                "type": item.type,
                "from_status": payment["status"],
                "to_status": after["status"],
                "actor": item.caller.actor,
                "request_id": item.caller.request_id,
                "reason": item.reason,
                "body": body,
                "snapshot": snapshot,
                "chain": head.hex(),
            }
        )
    after["audit_head"] = head
    return Change(before or payment, payment, after, transaction, news, told)


def amended(change: Change, changes: PaymentChanges) -> Change:
    """The same change with more of the payment's columns changed: planned anew, because the
    events say what becomes of the row."""
    planned: Any = {name: change.payment[name] for name in _WRITTEN}
    again = plan(
        payment=change.standing,
        moment=change.payment["updated_at"],
        news=change.news,
        changes={**planned, **changes},
        transaction=change.transaction,
        before=change.before,
    )
    return replace(again, contradicts=change.contradicts)


def apply(connection: Connection, change: Change) -> None:
    """Writes the change in one statement, in a transaction that has held the payment locked since
    it was read. Raises NotWritten if the payment moved all the same; nothing is written then."""
    if not apply_unless_moved(connection, change):
        raise NotWritten(f"payment {change.payment['payment_id']} moved while it was locked")


def apply_unless_moved(
    connection: PoolProxiedConnection | Connection,
    change: Change,
    *,
    key: Key | None = None,
    answer: tuple[int, str] | None = None,
) -> bool:
    """Writes the change in one statement. False, and nothing written, if the payment moved since
    it was read, as it may where nobody holds it locked.

    With a `key`, the caller's answer is kept too; `answer` None is a provisional one.
    """
    values: Row = {
        **change.payment,
        "old_version": change.before["version"],
        "next_action": dumped(change.payment["next_action"]),
        "events": jsontext.dumps(change.events),
        "deliveries": jsontext.dumps(_deliveries(change)),
        "deltas": jsontext.dumps(total_changes.of(change.before, change.payment)),
        **_transaction_values(change.transaction),
        **_key_values(key, answer),
    }
    return _APPLY.one(connection, values) is not None


def _transaction_values(transaction: Row | None) -> Row:
    if transaction is None:
        return _NO_TRANSACTION
    outcome = {f"t_{name}": transaction[name] for name in _OUTCOME}
    return {"number": transaction["number"], **outcome}


def _key_values(key: Key | None, answer: tuple[int, str] | None) -> Row:
    if key is None:
        return _NO_KEY
    status, body = answer or (None, None)
    return {**key.columns(), "answer_status": status, "answer_body": body}


def _event_data(before: Row, after: Row, transaction: Row | None, news: News) -> dict[str, Any]:
    """The `data` of the CloudEvent, as docs/events.md describes it."""
    currency = after["currency"]
    data = {
        "payment_id": after["payment_id"],
        "trip_id": after["trip_id"],
        "order_id": after["order_id"],
        "rider_id": after["rider_id"],
        "driver_id": after["driver_id"],
        "user_id": after["user_id"],
        "reference": after["reference"],
        "purpose": after["purpose"],
        "method": after["method"],
        "provider": after["provider"],
        "from_status": before["status"],
        "status": after["status"],
        "amount": money.format_amount(after["amount"], currency),
        "amount_captured": money.format_amount(after["captured"], currency),
        "amount_refunded": money.format_amount(after["refunded"], currency),
        "currency": currency,
        "failure_code": after["failure_code"],
        "transaction_reference": transaction["reference"] if transaction else None,
        "actor": news.caller.actor,
        "caller": news.caller.name,
        "request_id": news.caller.request_id,
        "reason": news.reason,
    }
    return data | news.data


def _deliveries(change: Change) -> list[dict[str, Any]]:
    return [
        {"sink": sink, "seq": event["seq"]}
        for event in change.events
        for sink in routes.sinks_for(event["type"], change.payment, settings())
    ]


def taken_from(standing: Row) -> dict[str, Any]:
    """For the data of an event by which a PENDING payment may leave these behind: what the totals
    had counted it under."""
    return {f"from_{name}": standing[name] for name in ("provider", "method", "currency")}


def edge_of(payment: Row, trigger: str, verdict: states.Verdict) -> states.Edge:
    """The edge from where the payment stands. Raises states.IllegalEdge."""
    return states.edge(payment["status"], trigger, verdict)
