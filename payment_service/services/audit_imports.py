"""What the seal of an imported payment says of its rows, as long as no event does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from payment_service.services.moves.rows import PaymentRow, SealRow
from payment_service.services.moves.snapshots import EPOCH

CONTENT = (
    *("trip_id", "share", "amount", "currency", "method", "status", "reference", "created_at"),
)
"""In the order of seeding/sealing."""

CALLER = "import"
"""Whom an import names in place of a caller."""

_PAID = ("SUCCESS", "REFUNDED")
_ZERO = ("authorized", "captured", "refunded", "refund_pending")


def payment_of(seal: SealRow) -> Mapping[str, Any]:
    """The whole row of the payment, as the import wrote it. Raises ValueError, TypeError."""
    said: dict[str, Any] = dict(zip(CONTENT, json.loads(seal["content"]), strict=True))
    at = said["created_at"] = EPOCH + timedelta(microseconds=said["created_at"])
    paid = said["status"] in _PAID
    return {
        **{name: 0 if name in _ZERO else None for name in PaymentRow.__annotations__},
        **said,
        "payment_id": seal["payment_id"],
        "purpose": "FARE",
        "authorized": said["amount"] if paid else 0,
        "captured": said["amount"] if paid else 0,
        "refunded": said["amount"] if said["status"] == "REFUNDED" else 0,
        "provider": "import",
        "caller": CALLER,
        "imported": True,
        "metadata": {},
        "version": 1,
        "updated_at": at,
        "completed_at": None if said["status"] == "PENDING" else at,
        "captured_at": at if paid else None,
    }


def refunds_of(payment: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows in refunds that the import wrote for such a payment; ids are not said."""
    if payment["status"] != "REFUNDED":
        return []
    at = payment["created_at"]
    return [
        {
            **dict.fromkeys(("transaction_number", "provider_reference")),
            **dict.fromkeys(("failure_code", "failure_message")),
            "amount": payment["amount"],
            "currency": payment["currency"],
            "status": "SUCCESS",
            "reason": "imported",
            "caller": CALLER,
            "created_at": at,
            "updated_at": at,
            "completed_at": at,
        }
    ]
