"""How the provider's rows look from outside."""

from __future__ import annotations

from typing import Any

from payment_service.sandbox import amounts
from payment_service.sandbox.dialects.psp import tokens
from payment_service.sandbox.memory import Row

_MONEY = {
    "amount_minor": "amount",
    "captured_minor": "captured",
    "refunded_minor": "refunded",
    "refund_pending_minor": "refund_pending",
    "fee_minor": "fee",
}
_HIDDEN = {"fingerprint"}


def shown(row: Row, base_url: str) -> dict[str, Any]:
    """An operation as JSON: each amount in minor units and as a decimal string beside it."""
    view = {name: value for name, value in row.items() if name not in _HIDDEN}
    for minor, name in _MONEY.items():
        if minor in row:
            view[name] = amounts.decimal_string(row[minor], row["currency"])
    code = row["decline_code"]
    view["message"] = None if code is None else tokens.MESSAGES.get(code, "Declined.")
    if row["kind"] == "charge":
        view["next_action"] = _next_action(row, base_url)
    return view


def _next_action(row: Row, base_url: str) -> dict[str, str] | None:
    if row["state"] != "requires_action":
        return None
    return {"type": "redirect", "url": f"{base_url}sandbox/actions/{row['reference']}"}


def status_of(row: Row) -> int:
    """402 for a decline, 201 for everything that was taken or is under way."""
    return 402 if row["state"] == "declined" else 201
