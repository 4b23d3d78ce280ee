"""What a caller is told about a move: status and body, rendered from what stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from payment_service import idempotency
from payment_service.domain import money
from payment_service.domain.events import iso
from payment_service.domain.jsontext import dumps
from payment_service.domain.vocabulary import RefundStatus, TransactionStatus, TransactionType
from payment_service.extensions import db
from payment_service.idempotency import Key
from payment_service.schemas.payments import detail_body
from payment_service.schemas.refunds import refund_body
from payment_service.services.moves import rows
from payment_service.services.moves.rows import RefundRow, Row
from payment_service.services.moves.transitions import Change

_DONE = {
    TransactionType.CHARGE: 201,
    TransactionType.AUTHORIZATION: 201,
    TransactionType.CAPTURE: 200,
    TransactionType.VOID: 200,
    TransactionType.REFUND: 200,
}
_MESSAGES = {
    "SUCCESS": "Payment success",
    "AUTHORIZED": "Payment authorized",
    "PROCESSING": "Payment processing",
    "REQUIRES_ACTION": "Payment requires action",
    "FAILED": "Payment failed",
}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer in the making. A definite one is kept under its key."""

    status: int
    body: str
    replayed: bool = False

    @property
    def definite(self) -> bool:
        return self.status != 202


def status_of(transaction: Row) -> int:
    """The wire status that tells how the request to the provider came out."""
    if transaction["status"] == TransactionStatus.SUCCESS:
        return _DONE[transaction["type"]]
    return 402 if transaction["status"] == TransactionStatus.FAILED else 202


def of_payment(payment: Row, transactions: list[Row], transaction: Row) -> Answer:
    """The payment, as the answer to a charge, capture or void that `transaction` was."""
    body: dict[str, Any] = detail_body(payment, transactions)
    if transaction["type"] in (TransactionType.CHARGE, TransactionType.AUTHORIZATION):
        body["message"] = _MESSAGES.get(payment["status"], f"Payment {payment['status'].lower()}")
        body["timestamp"] = iso(payment["updated_at"])
    return Answer(status_of(transaction), dumps(body))


RESOURCE = "POST /v1/refunds"
"""The operation whose answers are the refund as a resource."""


def wants_resource(key: Key | None) -> bool:
    """Whether the request under this key was made on the refunds' own path."""
    return key is not None and key.operation == RESOURCE


def of_refund(payment: Row, refund: RefundRow, *, as_resource: bool) -> Answer:
    """A refund's answer: in the payment's terms, or as the resource that /v1/refunds made."""
    done = 201 if as_resource else 200
    known: dict[str, int] = {RefundStatus.SUCCESS: done, RefundStatus.FAILED: 402}
    status = known.get(refund["status"], 202)
    return Answer(status, dumps(refund_body(refund) if as_resource else _outcome(payment, refund)))


def of_change(change: Change, earlier: Sequence[Row], key: Key | None) -> Answer:
    """The answer to the request whose outcome the change is. `earlier` are those before it."""
    if change.transaction is None:
        raise LookupError("the change is no request's outcome")
    if change.refund is not None:
        return of_refund(change.payment, change.refund, as_resource=wants_resource(key))
    return of_payment(change.payment, [*earlier, change.transaction], change.transaction)


def _outcome(payment: Row, refund: RefundRow) -> dict[str, Any]:
    return {
        "payment_id": payment["payment_id"],
        "refund_id": refund["refund_id"],
        "refund_amount": money.format_amount(refund["amount"], refund["currency"]),
        "currency": refund["currency"],
        "status": payment["status"],
        "refund_status": refund["status"],
        "failure_code": refund["failure_code"],
        "failure_message": refund["failure_message"],
        "timestamp": iso(refund["updated_at"]),
    }


def tell(*, payment_id: int, number: int, key: Key | None) -> Answer:
    """What stands about the payment's request `number`; kept under the key if it is definite.

    The first answer that was kept wins.
    """
    with db.engine.begin() as connection:
        return tell_locked(connection, payment_id=payment_id, number=number, key=key)


def tell_locked(connection: Connection, *, payment_id: int, number: int, key: Key | None) -> Answer:
    """As `tell`, in the connection's transaction, which must end soon: it locks the payment."""
    answer = _standing(connection, payment_id, number, key)
    if key is None or not answer.definite:
        return answer
    status, body = idempotency.store(
        connection, key, payment_id=payment_id, status=answer.status, body=answer.body
    )
    return Answer(status, body)


def _standing(connection: Connection, payment_id: int, number: int, key: Key | None) -> Answer:
    # Locked, so that nobody moves it between this and the next read: an answer that is kept must
    # not show half of a move.
    payment = rows.read_payment(connection, payment_id, lock=True)
    if payment is None:
        raise LookupError(f"no payment {payment_id}")
    transactions = rows.read_transactions(connection, payment_id)
    transaction = rows.find_transaction(transactions, number)
    if transaction["type"] == TransactionType.REFUND:
        refund = rows.read_refund(connection, payment_id, number)
        return of_refund(payment, refund, as_resource=wants_resource(key))
    return of_payment(payment, transactions, transaction)
