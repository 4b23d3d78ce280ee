"""Refunds at Fiuu: asked for by RefundType P, told by our reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from payment_service.domain import money
from payment_service.providers.contract import (
    NotSent,
    Operation,
    Outcome,
    OutcomeUnknown,
    Result,
)
from payment_service.providers.fiuu.reading import minor
from payment_service.providers.fiuu.signatures import Keys, same
from payment_service.providers.fiuu.wire import rows, texts

Post = Callable[[str, dict[str, str]], Any]
"""Asks one endpoint of wire.PATHS."""

NO = {
    **dict.fromkeys(("PR009", "PR010", "PR012", "PR013", "PR014"), "provider_declined"),
    **dict.fromkeys(("PR017", "PR018", "PR019", "PR020"), "provider_declined"),
    "PR011": "refund_exceeds_captured",
}
NOT_LOOKED_AT = frozenset(f"PR00{number}" for number in range(1, 9))
USED, NOT_FOUND = "PR016", "PR009"

_REPLIES = {"00": Outcome.APPROVED, "22": Outcome.PENDING, "11": Outcome.DECLINED}
_STATUSES = {
    "success": Outcome.APPROVED,
    "pending": Outcome.PENDING,
    "processing": Outcome.PENDING,
    "rejected": Outcome.DECLINED,
}


def ask(operation: Operation, transaction: str, keys: Keys, post: Post) -> Result:
    """Asks for a refund of the transaction of that number."""
    amount = money.format_amount(operation.amount, operation.currency)
    kind, reference = "P", operation.reference
    fields = {
        "RefundType": kind,
        "MerchantID": keys.merchant,
        "RefID": reference,
        "TxnID": transaction,
        "Amount": amount,
        "Signature": keys.refund(kind, reference, transaction, amount),
    }
    said = texts(post("refund", fields))
    if "error_code" in said:
        return _refused(operation, said, keys, post)
    if not same(said.get("Signature"), keys.refunded(said)):
        raise OutcomeUnknown("an answer with another signature")
    return _read(operation, said, keys, _REPLIES)


def _refused(operation: Operation, said: dict[str, str], keys: Keys, post: Post) -> Result:
    code = said["error_code"]
    if code in NOT_LOOKED_AT:
        raise NotSent(f"the refund was not looked at: {code}", counts=False)
    if code == USED and (found := look_up(operation, keys, post)):
        return found
    if code not in NO:
        raise OutcomeUnknown(f"the refund was answered {code}")
    why = f"{code} {said.get('error_desc', '')}".strip()
    return Result(Outcome.DECLINED, failure_code=NO[code], failure_message=why)


def look_up(operation: Operation, keys: Keys, post: Post) -> Result | None:
    """The refund under our reference; None if Fiuu has not heard of it."""
    fields = {
        "RefID": operation.reference,
        "MerchantID": keys.merchant,
        "Signature": keys.refund_query(operation.reference),
    }
    said = post("refund_query", fields)
    if isinstance(said, dict) and said.get("error_code") == NOT_FOUND:
        return None
    found = rows(said)
    if not found:
        return None
    if len(found) > 1:
        raise OutcomeUnknown("two refunds under one reference")
    return _read(operation, found[0], keys, _STATUSES)


def _read(
    operation: Operation, said: dict[str, str], keys: Keys, outcomes: dict[str, Outcome]
) -> Result:
    """A refund as it is told, if it is this one: of this charge, merchant and amount."""
    if said.get("RefID") != operation.reference:
        raise OutcomeUnknown("an answer about another refund")
    if operation.provider_reference not in (None, said.get("TxnID")):
        raise OutcomeUnknown("an answer about another charge")
    if said.get("MerchantID", keys.merchant) != keys.merchant:
        raise OutcomeUnknown("an answer about another merchant")
    if "Amount" in said and minor(said["Amount"], operation.currency) != operation.amount:
        raise OutcomeUnknown("an answer about another amount")
    outcome = outcomes.get(said.get("Status", ""))
    if outcome is None:
        raise OutcomeUnknown(f"the refund is {said.get('Status')}")
    return Result(
        outcome,
        provider_reference=said.get("RefundID") or None,
        amount_approved=operation.amount if outcome is Outcome.APPROVED else None,
        failure_code="provider_declined" if outcome is Outcome.DECLINED else None,
    )
