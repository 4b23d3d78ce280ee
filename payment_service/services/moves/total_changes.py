"""What a move adds to the totals of /metrics and to the figures of the payment's day.
services/totals folds it in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from payment_service.domain import money
from payment_service.domain.vocabulary import PaymentStatus


class Counted(TypedDict):
    """What of a payment's row the totals care about."""

    provider: str | None
    imported: bool
    method: str
    currency: str
    status: str
    captured: int
    refunded: int
    audit_head: bytes | None


class Delta(TypedDict):
    """What is added to the sums under these four words; amounts in minor units."""

    provider: str
    method: str
    currency: str
    status: str
    payments: int
    created: int
    entered: int
    captured: int
    refunds: int
    refunded: int
    captured_now: int
    refunded_now: int


# In the totals a payment is counted under its status from its first event on. One that a charge
# created is PROCESSING until then, and /metrics counts the few of those from their index.
_UNCOUNTED = PaymentStatus.PROCESSING


def of(before: Counted, after: Counted) -> list[Delta]:
    """What the change of a payment's row adds to the totals."""
    found = []
    first = before["audit_head"] is None and not before["imported"]
    moved = before["status"] != after["status"]
    if moved and not first and before["status"] != _UNCOUNTED:
        found.append(
            _delta(
                before,
                payments=-1,
                captured_now=-before["captured"],
                refunded_now=-before["refunded"],
            )
        )
    # A payment brings all its money along to where it begins to stand.
    came = moved or first
    gain = {
        "payments": int(came and after["status"] != _UNCOUNTED),
        "entered": int(came),
        "created": int(first),
        "captured": after["captured"] - before["captured"],
        "refunds": int(after["refunded"] > before["refunded"]),
        "refunded": max(0, after["refunded"] - before["refunded"]),
        "captured_now": after["captured"] - (0 if came else before["captured"]),
        "refunded_now": after["refunded"] - (0 if came else before["refunded"]),
    }
    if any(gain.values()):
        found.append(_delta(after, **gain))
    return found


def replayed(
    before: Counted | None, payment: Counted, told: Iterable[Mapping[str, Any]]
) -> list[Delta]:
    """What a payment adds to the totals that comes from elsewhere with its past: `told` is the data
    of its events since it stood as `before`; None if it was not here at all."""
    data = list(told)
    found = []
    standing = before
    if standing is None and not data:
        return [_imported(payment)] if payment["imported"] else []
    if standing is None:
        first = data[0]
        standing = _standing(first, payment["imported"])
        standing["status"], standing["audit_head"] = first["from_status"], None
        standing["captured"] = standing["refunded"] = 0
        if payment["imported"]:
            # It was PENDING in the file, and moved later: counted under what the file said.
            standing["method"] = first.get("from_method", first["method"])
            standing["currency"] = first.get("from_currency", first["currency"])
            standing["provider"] = "import"
            found.append(_imported(standing))
    for event in data:
        after = _standing(event, payment["imported"])
        found += of(standing, after)
        standing = after
    return found


def _standing(data: Mapping[str, Any], imported: bool) -> Counted:
    """The payment after an event, as far as the totals care."""
    currency = data["currency"]
    return {
        "provider": data["provider"],
        "imported": imported,
        "method": data["method"],
        "currency": currency,
        "status": data["status"],
        "captured": money.parse_amount(data["amount_captured"], currency),
        "refunded": money.parse_amount(data["amount_refunded"], currency),
        "audit_head": b"told",
    }


def _imported(row: Counted) -> Delta:
    """What seeding counted for a row of a file."""
    captured, refunded = row["captured"], row["refunded"]
    counts = {"captured": captured, "refunds": int(refunded > 0), "refunded": refunded}
    stands = {"captured_now": captured, "refunded_now": refunded}
    return _delta(row, payments=1, created=1, entered=1, **counts, **stands)


def _delta(
    row: Counted,
    *,
    payments: int = 0,
    created: int = 0,
    entered: int = 0,
    captured: int = 0,
    refunds: int = 0,
    refunded: int = 0,
    captured_now: int = 0,
    refunded_now: int = 0,
) -> Delta:
    return {
        "provider": row["provider"] or "none",
        "method": row["method"],
        "currency": row["currency"],
        "status": row["status"],
        "payments": payments,
        "created": created,
        "entered": entered,
        "captured": captured,
        "refunds": refunds,
        "refunded": refunded,
        "captured_now": captured_now,
        "refunded_now": refunded_now,
    }
