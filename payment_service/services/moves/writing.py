"""The one statement that writes a change, and what it takes of each row."""

from __future__ import annotations

from collections.abc import Mapping

from payment_service.idempotency import KEEP_ANSWER, Key
from payment_service.models import IdempotencyKey
from payment_service.models.columns import sql_types
from payment_service.services.moves.rows import (
    PAYMENT,
    REFUND,
    TRANSACTION,
    PaymentChanges,
    RefundRow,
    TransactionRow,
)
from payment_service.statements import Statement

WRITTEN = frozenset(PaymentChanges.__annotations__)
"""What a change may write of a payment, beside what follows from the change itself."""

_OUTCOME = (
    *("status", "amount_approved", "provider_reference", "fee", "failure_code", "failure_message"),
    *("occurred_at", "due_at"),
)
"""What a change writes of a request whose outcome it is."""

_END = (
    *("status", "provider_reference", "failure_code", "failure_message"),
    *("completed_at", "updated_at"),
)
"""What it writes of the refund that the request was about."""

_TYPES = {
    **sql_types(IdempotencyKey.__table__),
    **sql_types(TRANSACTION),
    **sql_types(PAYMENT),
    "old_version": "integer",
    **{f"t_{name}": kind for name, kind in sql_types(TRANSACTION).items()},
    "refund_id": "bigint",
    **{f"r_{name}": kind for name, kind in sql_types(REFUND).items()},
    **dict.fromkeys(("events", "deliveries", "deltas"), "json"),
}

# All or nothing, in one round trip: everything is taken FROM the row that `l` locked at the
# version that the change was planned from. Locks in the order payment, transaction, refund, key.
# The rows are named by the parameter and not by l's column: planned on empty tables, a join would
# be made by the number alone and read the whole index (from 782 to 313 charges a second as rows
# grew).
APPLY = Statement(
    "apply_change",
    f"""
    WITH l AS (
        SELECT payment_id FROM payments
        WHERE payment_id = :payment_id AND version = :old_version FOR UPDATE
    ), p AS (
        UPDATE payments SET
            version = :version, audit_head = :audit_head, updated_at = :updated_at,
            {", ".join(f"{name} = :{name}" for name in sorted(WRITTEN))}
        FROM l WHERE payments.payment_id = :payment_id
    ), t AS (
        UPDATE transactions SET
            {", ".join(f"{name} = :t_{name}" for name in _OUTCOME)}
        FROM l WHERE transactions.payment_id = :payment_id AND transactions.number = :number
    ), r AS (
        UPDATE refunds SET
            {", ".join(f"{name} = :r_{name}" for name in _END)}
        FROM l WHERE refunds.refund_id = :refund_id
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
        {KEEP_ANSWER} AND EXISTS (SELECT FROM l)
    )
    SELECT payment_id FROM l
    """,  # noqa: S608 - our own columns
    _TYPES,
)

_NO_TRANSACTION = dict.fromkeys(("number", *(f"t_{name}" for name in _OUTCOME)))
_NO_REFUND = dict.fromkeys(("refund_id", *(f"r_{name}" for name in _END)))
_NO_KEY = dict.fromkeys(("caller", "operation", "key", "answer_status", "answer_body"))


def transaction_values(transaction: TransactionRow | None) -> Mapping[str, object]:
    """What APPLY needs of a request whose outcome the change is."""
    if transaction is None:
        return _NO_TRANSACTION
    row: Mapping[str, object] = transaction
    return {"number": transaction["number"], **{f"t_{name}": row[name] for name in _OUTCOME}}


def refund_values(refund: RefundRow | None) -> Mapping[str, object]:
    """What it needs of a refund that ends with the request."""
    if refund is None:
        return _NO_REFUND
    row: Mapping[str, object] = refund
    return {"refund_id": refund["refund_id"], **{f"r_{name}": row[name] for name in _END}}


def key_values(key: Key | None, answer: tuple[int, str] | None) -> Mapping[str, object]:
    """What it needs of the caller's key, and of the answer to be kept."""
    if key is None:
        return _NO_KEY
    status, body = answer or (None, None)
    return {**key.columns(), "answer_status": status, "answer_body": body}
