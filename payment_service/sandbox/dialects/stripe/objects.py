"""Stripe's objects as its API shows them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from secrets import token_hex
from typing import Any

from payment_service.sandbox.dialects.stripe.cards import No
from payment_service.sandbox.memory import Memory, Row

VERSION = "2026-10-28.endive"
"""The API version of the sandbox, and of its events."""

TABLES = {
    "pi": "stripe.intents",
    "ch": "stripe.charges",
    "txn": "stripe.balance",
    "re": "stripe.refunds",
    "dp": "stripe.disputes",
    "evt": "stripe.events",
    "cus": "stripe.customers",
    "seti": "stripe.setups",
    "pm": "stripe.methods",
}
"""Where the objects are, by the beginning of their ids."""


def now() -> int:
    """Whole seconds, as Stripe counts."""
    return int(time.time())


def new_id(prefix: str) -> str:
    """An id that is not used yet."""
    return f"{prefix}_{token_hex(12)}"


def shown(row: Row, memory: Memory, expand: Sequence[str] = ()) -> dict[str, Any]:
    """The object, with those that its ids name in their places where `expand` asks for them."""
    found = dict(row)
    for path in expand:
        name, _, rest = path.partition(".")
        value = found.get(name)
        inner = _named(value, memory) if isinstance(value, str) else value
        if isinstance(inner, dict):
            found[name] = shown(inner, memory, [rest] if rest else [])
    return found


def placed(found: dict[str, Any], host_url: str) -> dict[str, Any]:
    """The object with the addresses of this sandbox's pages in full, in an event and in an error,
    too. They are kept without the host, which is that of whoever asks."""
    if isinstance(of := (found.get("data") or {}).get("object"), dict):
        return {**found, "data": {**found["data"], "object": placed(of, host_url)}}
    if isinstance(inner := found.get("payment_intent"), dict):
        return {**found, "payment_intent": placed(inner, host_url)}
    action = found.get("next_action") or {}
    if action.get("type") != "redirect_to_url":
        return found
    url = host_url.rstrip("/") + action["redirect_to_url"]["url"]
    there = {**action["redirect_to_url"], "url": url}
    return {**found, "next_action": {**action, "redirect_to_url": there}}


def _named(row_id: str, memory: Memory) -> Row | None:
    """What the id is of."""
    table = TABLES.get(row_id.partition("_")[0])
    return memory.get(table, row_id) if table else None


def intent(asked: dict[str, Any]) -> Row:
    """A new intent that nobody has tried to pay."""
    intent_id = new_id("pi")
    return {
        "id": intent_id,
        "object": "payment_intent",
        "amount": asked["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": asked["capture_method"],
        "client_secret": f"{intent_id}_secret_{token_hex(12)}",
        "confirmation_method": "automatic",
        "created": now(),
        "currency": asked["currency"],
        "customer": asked.get("customer"),
        "customer_account": None,
        "description": asked.get("description"),
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": asked["metadata"],
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": asked["payment_method_types"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def charge(of: Row, *, captured: bool) -> Row:
    """The charge of an intent that was paid, or whose money is held."""
    return {
        "id": new_id("ch"),
        "object": "charge",
        "amount": of["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {
            "address": None,
            "email": None,
            "name": None,
            "phone": None,
            "tax_id": None,
        },
        "calculated_statement_descriptor": None,
        "captured": captured,
        "created": now(),
        "currency": of["currency"],
        "customer": of["customer"],
        "description": of["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": of["metadata"],
        "on_behalf_of": None,
        "outcome": None,
        "paid": True,
        "payment_intent": of["id"],
        "payment_method": of["payment_method"],
        "payment_method_details": None,
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    }


def booking(of: Row, amount: int, fee: int, kind: str) -> Row:
    """A balance transaction."""
    return {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": now(),
        "balance_type": "payments",
        "created": now(),
        "currency": of["currency"],
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [],
        "net": amount - fee,
        "reporting_category": kind,
        "source": of["id"],
        "status": "available",
        "type": kind,
    }


def refund(asked: dict[str, Any], *, of: Row, status: str) -> Row:
    """A refund of an intent."""
    return {
        "id": new_id("re"),
        "object": "refund",
        "amount": asked["amount"],
        "balance_transaction": None,
        "charge": of["latest_charge"],
        "created": now(),
        "currency": of["currency"],
        "destination_details": {"type": "card"},
        "metadata": asked["metadata"],
        "payment_intent": of["id"],
        "reason": asked.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }


def dispute(of: Row, amount: int, reason: str, status: str) -> Row:
    """A dispute of a charge, that nobody has answered yet: two weeks are left for that."""
    return {
        "id": new_id("dp"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": of["id"],
        "created": now(),
        "currency": of["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {
            "due_by": now() + 14 * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": status.startswith("warning"),
        "livemode": False,
        "metadata": {},
        "payment_intent": of["payment_intent"],
        "reason": reason,
        "status": status,
    }


def event(kind: str, of: dict[str, Any], key: str | None) -> Row:
    """Something that happened to the object; `key` is that of the request that did it."""
    return {
        "id": new_id("evt"),
        "object": "event",
        "api_version": VERSION,
        "created": now(),
        "data": {"object": of},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": new_id("req") if key else None, "idempotency_key": key},
        "type": kind,
    }


def error(no: No, *, of: Row | None = None) -> dict[str, Any]:
    """A card's no, as an answer has it and as the intent keeps it."""
    found: dict[str, Any] = {"type": "card_error", "code": no.code, "message": no.message}
    if no.decline_code:
        found["decline_code"] = no.decline_code
    return found | ({"payment_intent": of} if of is not None else {})
