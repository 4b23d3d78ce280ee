"""What a caller is told about how its request ended: status and body."""

from __future__ import annotations

from typing import Any

from payment_service.domain import money
from payment_service.domain.events import iso
from payment_service.domain.jsontext import dumps
from payment_service.domain.vocabulary import ASKS, RefundStatus, TransactionStatus, TransactionType
from payment_service.idempotency import Key
from payment_service.schemas.payments import detail_body
from payment_service.schemas.refunds import refund_body
from payment_service.services.moves import pages
from payment_service.services.moves.answers import Answer, Ending
from payment_service.services.moves.rows import PaymentRow, RefundRow, TransactionRow

_DONE: dict[str, int] = {
    TransactionType.CHARGE: 201,
    TransactionType.AUTHORIZATION: 201,
    TransactionType.CAPTURE: 200,
    TransactionType.VOID: 200,
}
_MESSAGES = {
    "SUCCESS": "Payment success",
    "AUTHORIZED": "Payment authorized",
    "PROCESSING": "Payment processing",
    "REQUIRES_ACTION": "Payment requires action",
    "FAILED": "Payment failed",
}

RESOURCE = "POST /v1/refunds"
"""The operation whose answers are the refund as a resource."""


def write(ending: Ending, key: Key | None) -> Answer:
    """The ending as the API tells it: the payment, or what became of its refund."""
    if ending.refund is not None:
        as_resource = key is not None and key.operation == RESOURCE
        return _of_refund(ending.payment, ending.refund, as_resource=as_resource)
    body: dict[str, Any] = detail_body(ending.payment, list(ending.transactions))
    if "next_action" in body:
        body["next_action"] = pages.told(ending.payment, ending.page)
    if ending.request is None:
        return Answer(201 if ending.created else 200, dumps(body))
    if ending.request["type"] in ASKS:
        status = ending.payment["status"]
        body["message"] = _MESSAGES.get(status, f"Payment {status.lower()}")
        body["timestamp"] = iso(ending.payment["updated_at"])
    return Answer(_status_of(ending.request), dumps(body))


def _status_of(request: TransactionRow) -> int:
    """The wire status that tells how the request to the provider came out."""
    if request["status"] == TransactionStatus.SUCCESS:
        return _DONE[request["type"]]
    return 402 if request["status"] == TransactionStatus.FAILED else 202


def _of_refund(payment: PaymentRow, refund: RefundRow, *, as_resource: bool) -> Answer:
    """In the payment's terms, or as the resource that /v1/refunds made."""
    done = 201 if as_resource else 200
    known: dict[str, int] = {RefundStatus.SUCCESS: done, RefundStatus.FAILED: 402}
    status = known.get(refund["status"], 202)
    return Answer(status, dumps(refund_body(refund) if as_resource else _outcome(payment, refund)))


def _outcome(payment: PaymentRow, refund: RefundRow) -> dict[str, Any]:
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
