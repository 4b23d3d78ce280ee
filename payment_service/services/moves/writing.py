"""The one statement that writes a change, with a part more where a refund ends, and what it takes
of each row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from payment_service.idempotency import KEEP_ANSWER, Key
from payment_service.models import Event, IdempotencyKey, total_deltas
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
    *("occurred_at", "due_at", "lookups", "leased_until"),
)
"""What a change writes of a request whose outcome it is."""

_HEARD = ("answered_ms", "http_status", "answer")
"""What came back when it was asked; what was kept of that stays."""

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
    "page": "bytea",
    **{f"r_{name}": kind for name, kind in sql_types(REFUND).items()},
    **dict.fromkeys(("events", "deliveries", "deltas"), "json"),
}

_EVENT = sql_types(Event.__table__)
_TOLD = {
    name: _EVENT[name] for name in _EVENT if name not in ("payment_id", "occurred_at", "chain")
}
"""What each event says for itself; its time is the change's, and its hash comes as hex."""

_OWED = {"sink": "text", "seq": _TOLD["seq"], "traceparent": "text"}
"""What each delivery says for itself; it is due at the change's time."""

_DELTA = {name: kind for name, kind in sql_types(total_deltas).items() if name != "at"}
"""What each delta says for itself; its time is the payment's, which the locked row has."""


def _records(parameter: str, types: Mapping[str, str]) -> str:
    """A parameter's JSON list of objects as rows of these columns, called n."""
    columns = ", ".join(f"{name} {kind}" for name, kind in types.items())
    return f"json_to_recordset(:{parameter}) AS n({columns})"


def _of_n(names: Iterable[str]) -> str:
    return ", ".join(f"n.{name}" for name in names)


# All or nothing, in one round trip: everything is taken FROM the row that `l` locked at the
# version that the change was planned from. Locks in the order payment, transaction, refund, key.
# The rows are named by the parameter and not by l's column: planned on empty tables, a join would
# be made by the number alone and read the whole index (from 782 to 313 charges a second as rows
# grew).
def _applying(name: str, more: str = "") -> Statement:
    """The statement, with one part `more` put in."""
    sql = f"""
    WITH l AS (
        SELECT payment_id, created_at FROM payments
        WHERE payment_id = :payment_id AND version = :old_version FOR UPDATE
    ), p AS (
        UPDATE payments SET
            version = :version, audit_head = :audit_head, updated_at = :updated_at,
            {", ".join(f"{name} = :{name}" for name in sorted(WRITTEN))}
        FROM l WHERE payments.payment_id = :payment_id
    ), t AS (
        UPDATE transactions SET
            {", ".join(f"{name} = :t_{name}" for name in _OUTCOME)},
            {", ".join(f"{name} = COALESCE(:t_{name}, {name})" for name in _HEARD)}
        FROM l WHERE transactions.payment_id = :payment_id AND transactions.number = :number
    {more}), e AS (
        INSERT INTO events (payment_id, occurred_at, chain, {", ".join(_TOLD)})
        SELECT l.payment_id, :updated_at, decode(n.chain, 'hex'), {_of_n(_TOLD)}
        FROM l, {_records("events", {**_TOLD, "chain": "text"})}
    ), d AS (
        INSERT INTO deliveries (payment_id, due_at, created_at, {", ".join(_OWED)})
        SELECT l.payment_id, :updated_at, :updated_at, {_of_n(_OWED)}
        FROM l, {_records("deliveries", _OWED)}
    ), x AS (
        INSERT INTO total_deltas (at, {", ".join(_DELTA)})
        SELECT l.created_at, {_of_n(_DELTA)} FROM l, {_records("deltas", _DELTA)}
    ), k AS (
        {KEEP_ANSWER} AND EXISTS (SELECT FROM l)
    )
    SELECT payment_id FROM l
    """  # noqa: S608 - our own columns
    return Statement(name, sql, _TYPES)


APPLY = _applying("apply_change")
# A part of its own: no charge has a refund, and its plan would open the table for nothing (a
# thirtieth of the statement's work).
APPLY_REFUND = _applying(
    "apply_refund",
    f"""), r AS (
        UPDATE refunds SET
            {", ".join(f"{name} = :r_{name}" for name in _END)}
        FROM l WHERE refunds.refund_id = :refund_id
    """,  # noqa: S608 - our own columns
)

# So is what a provider gives for a payer: few charges have a page.
APPLY_PAGE = _applying(
    "apply_page",
    """), g AS (
        INSERT INTO payers (payment_id, reference, page)
        SELECT l.payment_id, :reference, :page FROM l
        ON CONFLICT (payment_id) DO UPDATE SET page = EXCLUDED.page
    """,
)

_NO_TRANSACTION = dict.fromkeys(("number", *(f"t_{name}" for name in (*_OUTCOME, *_HEARD))))
_NO_KEY = dict.fromkeys(("caller", "operation", "key", "answer_status", "answer_body"))


def transaction_values(transaction: TransactionRow | None) -> Mapping[str, object]:
    """What APPLY needs of a request whose outcome the change is."""
    if transaction is None:
        return _NO_TRANSACTION
    row: Mapping[str, object] = transaction
    outcome = {f"t_{name}": row[name] for name in _OUTCOME}
    heard = {f"t_{name}": row.get(name) for name in _HEARD}
    return {"number": transaction["number"], **outcome, **heard}


def refund_values(refund: RefundRow) -> Mapping[str, object]:
    """What it needs of a refund that ends with the request."""
    row: Mapping[str, object] = refund
    return {"refund_id": refund["refund_id"], **{f"r_{name}": row[name] for name in _END}}


def key_values(key: Key | None, answer: tuple[int, str] | None) -> Mapping[str, object]:
    """What it needs of the caller's key, and of the answer to be kept."""
    if key is None:
        return _NO_KEY
    status, body = answer or (None, None)
    return {**key.columns(), "answer_status": status, "answer_body": body}
