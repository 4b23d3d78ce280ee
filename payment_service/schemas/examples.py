"""Examples of answers for the OpenAPI document: one trip's payment, refunded in part."""

from __future__ import annotations

from typing import Any

Example = dict[str, Any]

_TAKEN = "2026-11-20T10:00:00.000000Z"
_REFUNDED = "2026-11-20T11:30:00.000000Z"
_REFERENCE = "PAY-20261120-7K2M9QX4TB3A"

TRANSACTION: Example = {
    "transaction_log_id": 1,
    "transaction_type": "CHARGE",
    "amount": "104.86",
    "status": "SUCCESS",
    "description": None,
    "reference": f"{_REFERENCE}-1",
    "provider": "sandbox",
    "failure_code": None,
    "created_at": _TAKEN,
}

PAYMENT: Example = {
    "payment_id": 351,
    "trip_id": 32,
    "order_id": None,
    "rider_id": 101,
    "driver_id": 201,
    "user_id": None,
    "amount": "104.86",
    "currency": "INR",
    "amount_captured": "104.86",
    "amount_refunded": "0.00",
    "method": "CARD",
    "provider": "sandbox",
    "status": "SUCCESS",
    "reference": _REFERENCE,
    "caller_reference": None,
    "purpose": "FARE",
    "transaction_id": "psp_4HX2",
    "authorization_code": None,
    "failure_code": None,
    "failure_message": None,
    "description": None,
    "metadata": {},
    "created_at": _TAKEN,
    "updated_at": _TAKEN,
    "completed_at": _TAKEN,
    "captured_at": _TAKEN,
}

PAYMENT_DETAIL: Example = {**PAYMENT, "transactions": [TRANSACTION]}

PAGE: Example = {"count": 1, "has_more": False, "next_cursor": None, "limit": 100, "offset": 0}

TIMELINE: Example = {
    "payment_id": 351,
    "events": [
        {
            "at": _TAKEN,
            "kind": "event",
            "what": "payment.succeeded",
            "actor": "caller",
            "reason": None,
            "details": {"seq": 2, "from_status": "PROCESSING", "to_status": "SUCCESS"},
        }
    ],
    "count": 1,
    "next": None,
}

REFUND: Example = {
    "refund_id": 12,
    "payment_id": 351,
    "amount": "10.00",
    "currency": "INR",
    "status": "SUCCESS",
    "reason": "Detour",
    "transaction_id": "psp_9QT7",
    "failure_code": None,
    "failure_message": None,
    "created_at": _REFUNDED,
    "updated_at": _REFUNDED,
    "completed_at": _REFUNDED,
}

REFUND_OUTCOME: Example = {
    "payment_id": 351,
    "refund_id": 12,
    "refund_amount": "10.00",
    "currency": "INR",
    "status": "PARTIALLY_REFUNDED",
    "refund_status": "SUCCESS",
    "failure_code": None,
    "failure_message": None,
    "timestamp": _REFUNDED,
}

RECEIPT: Example = {
    "receipt_id": f"RCP-{_REFERENCE}",
    "payment_id": 351,
    "reference": _REFERENCE,
    "caller_reference": None,
    "trip_id": 32,
    "order_id": None,
    "rider_id": 101,
    "driver_id": 201,
    "user_id": None,
    "method": "CARD",
    "provider": "sandbox",
    "status": "PARTIALLY_REFUNDED",
    "currency": "INR",
    "amount": "104.86",
    "amount_paid": "104.86",
    "amount_refunded": "10.00",
    "net_amount": "94.86",
    "description": None,
    "pickup_zone": "Northgate",
    "drop_zone": "Saltmarsh",
    "fare": {
        "distance_km": "7.28",
        "base_fare": "87.38",
        "surge_multiplier": "1.2",
        "total_fare": "104.86",
    },
    "lines": [
        {"line": "distance", "figure": "7.28", "amount": None, "refund_id": None},
        {"line": "base_fare", "figure": None, "amount": "87.38", "refund_id": None},
        {"line": "surge", "figure": "1.2", "amount": None, "refund_id": None},
        {"line": "total_fare", "figure": None, "amount": "104.86", "refund_id": None},
        {"line": "paid", "figure": None, "amount": "104.86", "refund_id": None},
        {"line": "refund", "figure": None, "amount": "-10.00", "refund_id": 12},
        {"line": "net", "figure": None, "amount": "94.86", "refund_id": None},
    ],
    "refunds": [
        {
            "refund_id": 12,
            "amount": "10.00",
            "reason": "Detour",
            "refunded_at": _REFUNDED,
            "returned_at": None,
        }
    ],
    "created_at": _TAKEN,
    "paid_at": _TAKEN,
}

OFFER: Example = {
    "providerName": "ZainCash",
    "countryCode": "IQ",
    "currency": "IQD",
    "paymentMethod": "WALLET",
    "isActive": True,
}

WEBHOOK: dict[str, Any] = {
    "webhook_id": 1,
    "provider": "stripe",
    "event_key": "evt_1",
    "event_type": "payment_intent.succeeded",
    "trust": "SIGNED",
    "status": "APPLIED",
    "payment_id": 351,
    "number": 1,
    "deliveries": 1,
    "attempts": 1,
    "received_at": "2026-11-20T10:00:00Z",
    "last_received_at": "2026-11-20T10:00:00Z",
    "processed_at": "2026-11-20T10:00:00Z",
    "due_at": None,
    "error": None,
}

DISPUTE: Example = {
    "dispute_id": 1,
    "payment_id": 1,
    "provider": "stripe",
    "provider_dispute_id": "dp_1PgafmB7WZ01zgkW",
    "kind": "CHARGEBACK",
    "status": "NEEDS_RESPONSE",
    "reason": "fraudulent",
    "amount": "104.86",
    "currency": "INR",
    "evidence_due_at": "2026-01-16T23:59:59.000000Z",
    "submissions": 0,
    "opened_at": "2026-01-02T15:04:05.000000Z",
    "closed_at": None,
    "created_at": "2026-01-02T15:04:06.000000Z",
    "updated_at": "2026-01-02T15:04:06.000000Z",
}

CUSTOMER: dict[str, Any] = {
    "customer_id": 12,
    "user_id": 101,
    "name": "A Rider",
    "email": "rider@example.com",
    "phone": "+46701234567",
    "created_at": "2026-11-20T10:00:00Z",
    "updated_at": "2026-11-20T10:00:00Z",
}

SETUP: dict[str, Any] = {
    "setup_id": 5,
    "status": "REQUIRES_ACTION",
    "next_action": {"type": "sdk", "client_secret": "seti_1_secret_2", "publishable_key": "pk_1"},
}

PAYMENT_METHOD: dict[str, Any] = {
    "payment_method_id": 7,
    "provider": "stripe",
    "kind": "CARD",
    "brand": "visa",
    "last4": "4242",
    "exp_month": 12,
    "exp_year": 2034,
    "is_default": True,
    "status": "ACTIVE",
    "created_at": "2026-11-20T10:00:00Z",
}
