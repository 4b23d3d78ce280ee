"""What a move adds to the totals of /metrics; services/totals folds it in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from payment_service.domain import money
from payment_service.domain.vocabulary import PaymentStatus
from payment_service.services.moves.rows import Row

# In the totals a payment is counted under its status from its first event on. One that a charge
# created is PROCESSING until then, and /metrics counts the few of those from their index.
_UNCOUNTED = PaymentStatus.PROCESSING


def of(before: Row, after: Row) -> list[dict[str, Any]]:
    """What the change of a payment's row adds to the totals."""
    found = []
    first = before["audit_head"] is None and not before["imported"]
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


def replayed(
    before: Row | None, payment: Row, told: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What a payment adds to the totals that comes from elsewhere with its past: `told` is the data
    of its events since it stood as `before`; None if it was not here at all."""
    data = list(told)
    found = []
    standing = before
    if standing is None and not data:
        return [_imported(payment)] if payment["imported"] else []
    if standing is None:
        first = data[0]
        standing = {**_standing(first), "status": first["from_status"], "audit_head": None}
        standing |= {"captured": 0, "refunded": 0, "imported": payment["imported"]}
        if payment["imported"]:
            # It was PENDING in the file, and moved later: counted under what the file said.
            for name in ("method", "currency"):
                standing[name] = first.get(f"from_{name}", first[name])
            standing["provider"] = "import"
            found.append(_imported(standing))
    for after in map(_standing, data):
        found += of(standing, after)
        standing = after
    return found


def _standing(data: dict[str, Any]) -> Row:
    """The payment after an event, as far as the totals care."""
    currency = data["currency"]
    return {
        **{name: data[name] for name in ("provider", "method", "currency", "status")},
        "captured": money.parse_amount(data["amount_captured"], currency),
        "refunded": money.parse_amount(data["amount_refunded"], currency),
        "audit_head": b"told",
    }


def _imported(row: Row) -> dict[str, Any]:
    """What seeding counted for a row of a file."""
    counts = {name: row[name] for name in ("captured", "refunded")}
    refunds = int(row["refunded"] > 0)
    return _delta(row, payments=1, created=1, entered=1, refunds=refunds, **counts)


def _delta(row: Row, **counts: int) -> dict[str, Any]:
    zero = dict.fromkeys(("payments", "created", "entered", "captured", "refunds", "refunded"), 0)
    labels = {name: row[name] for name in ("method", "currency", "status")}
    return {**labels, "provider": row["provider"] or "none", **zero, **counts}
