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
from payment_service.outbox import routes
from payment_service.services.moves import snapshots, total_changes
from payment_service.services.moves.rows import Row, dumped
from payment_service.statements import Statement

OPEN = (TransactionStatus.PROCESSING, TransactionStatus.REQUIRES_ACTION)

_TYPES = {
    "payment_id": "bigint",
    "old_version": "integer",
    "version": "integer",
    "audit_head": "bytea",
    "status": "text",
    "provider": "text",
    "share": "smallint",
    "authorized": "bigint",
    "captured": "bigint",
    "refunded": "bigint",
    "refund_pending": "bigint",
    "provider_reference": "text",
    "authorization_code": "text",
    "failure_code": "text",
    "failure_message": "text",
    "next_action": "json",
    "updated_at": "timestamptz",
    "completed_at": "timestamptz",
    "captured_at": "timestamptz",
    "expires_at": "timestamptz",
    "number": "smallint",
    "t_status": "text",
    "t_amount_approved": "bigint",
    "t_provider_reference": "text",
    "t_fee": "bigint",
    "t_failure_code": "text",
    "t_failure_message": "text",
    "t_occurred_at": "timestamptz",
    "t_due_at": "timestamptz",
    "events": "json",
    "deliveries": "json",
    "deltas": "json",
    "caller": "text",
    "operation": "text",
    "key": "text",
    "answer_status": "smallint",
    "answer_body": "text",
}

# All or nothing, in one round trip: everything is taken FROM the row that `l` locked at the
# version that the change was planned from. Locks in the order payment, transaction, key. The rows
# are named by the parameter and not by l's column: planned on empty tables, a join would be made
# by the number alone and read the whole index (from 782 to 313 charges a second as rows grew).
_APPLY = Statement(
    "apply_change",
    """
    WITH l AS (
        SELECT payment_id FROM payments
        WHERE payment_id = :payment_id AND version = :old_version FOR UPDATE
    ), p AS (
        UPDATE payments SET
            version = :version, audit_head = :audit_head, status = :status, provider = :provider,
            share = :share, authorized = :authorized, captured = :captured, refunded = :refunded,
            refund_pending = :refund_pending, provider_reference = :provider_reference,
            authorization_code = :authorization_code, failure_code = :failure_code,
            failure_message = :failure_message, next_action = :next_action,
            updated_at = :updated_at, completed_at = :completed_at, captured_at = :captured_at,
            expires_at = :expires_at
        FROM l WHERE payments.payment_id = :payment_id
    ), t AS (
        UPDATE transactions SET
            status = :t_status, amount_approved = :t_amount_approved,
            provider_reference = :t_provider_reference, fee = :t_fee,
            failure_code = :t_failure_code, failure_message = :t_failure_message,
            occurred_at = :t_occurred_at, due_at = :t_due_at
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
    """,
    _TYPES,
)

_NO_TRANSACTION = {"number": None} | {name: None for name in _TYPES if name.startswith("t_")}
_NO_KEY = dict.fromkeys(("caller", "operation", "key", "answer_status", "answer_body"))


@dataclass(frozen=True)
class News:
    """One thing to tell: the event's type, who did it and why, and more for its data."""

    type: str
    caller: Caller
    reason: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """A planned move: the rows as they were read and as they shall be, and the events.

    `contradicts` says that evidence overturns what callers had been told.
    """

    before: Row
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
    transaction: Row | None = None,
    asked: Row | None = None,
    **changes: Any,
) -> Change:
    """A change of `payment` to `changes` at `moment`, told as `news`. Nothing is written.

    `transaction` is the request whose outcome this is, as it shall be; `asked` one that begins
    with this change, which the caller writes.
    """
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
    return Change(payment, after, transaction, news, told)


def amended(change: Change, **changes: Any) -> Change:
    """The same change with more of the payment's columns changed: planned anew, because the
    events say what becomes of the row."""
    again = plan(
        payment=change.before,
        moment=change.payment["updated_at"],
        news=change.news,
        transaction=change.transaction,
        **{**change.payment, **changes},
    )
    return replace(again, contradicts=change.contradicts)


def apply(
    connection: PoolProxiedConnection | Connection,
    change: Change,
    *,
    key: Key | None = None,
    answer: tuple[int, str] | None = None,
) -> bool:
    """Writes the change in one statement. False, and nothing written, if the payment moved since
    it was read.

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
    return {name: transaction[name.removeprefix("t_")] for name in _NO_TRANSACTION}


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


def edge_of(payment: Row, trigger: str, outcome: states.Outcome) -> states.Edge:
    """The edge from where the payment stands. Raises states.IllegalEdge."""
    return states.edge(payment["status"], trigger, outcome)
