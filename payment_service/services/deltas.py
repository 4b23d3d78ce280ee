"""What a move adds to the totals of /metrics; services/totals folds it in."""

from __future__ import annotations

from typing import Any

from payment_service.domain.vocabulary import PaymentStatus
from payment_service.services.rows import Row

# In the totals a payment is counted under its status from its first event on. One that a charge
# created is PROCESSING until then, and /metrics counts the few of those from their index.
_UNCOUNTED = PaymentStatus.PROCESSING


def of(before: Row, after: Row) -> list[dict[str, Any]]:
    """What the change of a payment's row adds to the totals."""
    found = []
    first = before["audit_head"] is None and before["provider"] != "import"
    moved = before["status"] != after["status"]
    if moved and not first and before["status"] != _UNCOUNTED:
        found.append(_delta(before, payments=-1))
    gain = {
        "payments": int((moved or first) and after["status"] != _UNCOUNTED),
        "entered": int(moved or first),
        "created": int(first),
        "captured": after["captured"] - before["captured"],
        "refunds": int(after["refunded"] > before["refunded"]),
        "refunded": max(0, after["refunded"] - before["refunded"]),
    }
    if any(gain.values()):
        found.append(_delta(after, **gain))
    return found


def _delta(row: Row, **counts: int) -> dict[str, Any]:
    zero = dict.fromkeys(("payments", "created", "entered", "captured", "refunds", "refunded"), 0)
    labels = {name: row[name] for name in ("method", "currency", "status")}
    return {**labels, "provider": row["provider"] or "none", **zero, **counts}
