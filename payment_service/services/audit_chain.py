"""One payment's chain of events: whether it holds, and what it says of the rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from payment_service.domain import events, money
from payment_service.domain.events import VERSION
from payment_service.domain.vocabulary import CAPTURED
from payment_service.services.moves.refund_holds import ASKED
from payment_service.services.moves.refund_outcomes import TAKEN_BACK
from payment_service.services.moves.rows import EventRow
from payment_service.services.moves.snapshots import OF_PAYMENT, OF_REQUEST, micros, plain

# In the body of every event, under the names that the table has, or under names of its own.
_SAME = (
    *("payment_id", "trip_id", "order_id", "rider_id", "driver_id", "user_id"),
    *("reference", "purpose", "method", "provider", "status", "currency", "failure_code"),
)
_AMOUNTS = {"amount": "amount", "captured": "amount_captured", "refunded": "amount_refunded"}

TOLD_FORMS = {
    **dict.fromkeys(_SAME, plain),
    **dict.fromkeys(_AMOUNTS, plain),
    "version": plain,
    "updated_at": micros,
    **OF_PAYMENT,
}
"""The columns of a payment that an event speaks of, in the form in which it does."""

# What an event may say otherwise than the one before it. All the rest was changed in between, with
# no event, and the move that came after would otherwise make it look told.
_NEVER = ("payment_id", "reference", "purpose", "parent_payment_id", "caller", "created_at")
_WHILE_PENDING = (
    *("trip_id", "order_id", "rider_id", "driver_id", "user_id", "amount", "currency", "method"),
    *("caller_reference", "payment_token", "description", "metadata", "fare"),
)
_ONCE_CAPTURED = ("authorized", "captured")
OUTCOME = {
    *("status", "amount_approved", "provider_account", "provider_reference", "fee"),
    *("failure_code", "failure_message", "occurred_at", "transaction_id"),
}
"""The columns of a request that its end writes; its beginning wrote the others for good."""


UNREADABLE_TOKEN = "no key opens it"
"""What no event says of a token: one that does not open is not the same as none."""


def as_told(payment: Mapping[str, Any]) -> Mapping[str, Any]:
    """The payment's row, as an event would tell of it."""
    told = {name: form(payment[name]) for name, form in TOLD_FORMS.items()}
    if told["payment_token"] is None and payment["payment_token"] is not None:
        told["payment_token"] = UNREADABLE_TOKEN
    return told


UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What a text that is none of ours may raise where it is read."""


@dataclass(frozen=True)
class Mismatch:
    """What does not fit, and in which event; `column` where it is one of the event's own."""

    seq: int
    what: str
    column: str | None = None


@dataclass
class Told:
    """What the chain says, up to an event: of the payment, by the number of their request of
    requests and refunds, and by their own id of refunds that were asked for. `mentioned` are the
    numbers of all requests that it speaks of. `bare`: an event of before there were snapshots is
    among them."""

    seq: int
    payment: Mapping[str, Any]
    requests: dict[int, Mapping[str, Any]]
    mentioned: set[int]
    refunds: dict[int, dict[str, Any]]
    bare: bool = False
    refund_requests: dict[int, dict[str, Any]] = field(default_factory=dict)


def follow(rows: list[EventRow], seal: Mapping[str, Any] | None) -> Told | Mismatch:
    """Walks the events to the end; the first thing that does not fit, if there is one.

    `seal` is what is known of the payment before its first event, if that was imported.
    """
    head: bytes | None = None
    told = Told(0, seal or {}, {}, set(), {})
    for row in rows:
        seq = row["seq"]
        if told.seq and seq != told.seq + 1:
            what = f"it follows event {told.seq}; one is missing, or has another seq or payment_id"
            return Mismatch(seq, what, "seq")
        head = events.chained(head, row["body"], row["snapshot"])
        if bytes(row["chain"]) != head:
            what = "its chain is not the hash of the one before, its body and its snapshot"
            return Mismatch(seq, what, "chain")
        try:
            body = json.loads(row["body"])
            if column := _contradicting(row, body):
                return Mismatch(seq, f"its {column} is not what its body says", column)
            if why := _hear(told, row, body):
                return Mismatch(seq, why)
        except UNREADABLE as error:
            return Mismatch(seq, f"its body or its snapshot can't be read: {error!r}")
    told.payment = {**told.payment, "audit_head": head}
    return told


def _hear(told: Told, row: EventRow, body: Mapping[str, Any]) -> str | None:
    """Takes one event into `told`. What of it does not fit to the events before, or None."""
    snapshot = json.loads(row["snapshot"]) if row["snapshot"] is not None else None
    said = _payment_of(row, body["data"], snapshot, told.payment)
    if why := _silently(told.payment, said, row):
        return why
    if why := _hear_requests(told, snapshot):
        return why
    told.seq, told.payment = row["seq"], said
    told.bare = told.bare or snapshot is None
    if reference := body["data"]["transaction_reference"]:
        number = _number(reference)
        told.mentioned.add(number)
        if snapshot is None:
            # Code of before snapshots, beside ours while we are rolled out, ended a request that
            # ours began: what became of its row is not told.
            told.requests.pop(number, None)
    if refund := body["data"].get("refund"):
        _hear_refund(told, row, body["data"]["caller"], refund)
    if asked := body["data"].get("refund_request"):
        _hear_asked(told, row, body["data"], asked)
    return None


def _contradicting(row: EventRow, body: Mapping[str, Any]) -> str | None:
    """The first column of the event that is not what its hashed body says."""
    data = body["data"]
    said = {
        "payment_id": data["payment_id"],
        "seq": int(body["id"].rpartition("-")[2]),
        "type": body["type"].removesuffix(f".{VERSION}"),
        "occurred_at": datetime.fromisoformat(body["time"]),
        "from_status": data["from_status"],
        "to_status": data["status"],
        **{name: data[name] for name in ("actor", "request_id", "reason")},
    }
    stands: Mapping[str, object] = row
    return next((name for name, value in said.items() if stands[name] != value), None)


def _payment_of(
    row: EventRow,
    data: Mapping[str, Any],
    snapshot: Mapping[str, Any] | None,
    before: Mapping[str, Any],
) -> Mapping[str, Any]:
    """What the event says of the payment, after the one `before` it."""
    said = {name: data[name] for name in _SAME}
    for name, member in _AMOUNTS.items():
        said[name] = money.parse_amount(data[member], data["currency"])
    said |= {"version": row["seq"], "updated_at": micros(row["occurred_at"])}
    if snapshot is not None:
        said |= {name: snapshot["payment"].get(name) for name in OF_PAYMENT}
        if row["from_status"] != "PENDING" and said["payment_token"] is None and before:
            # A process that could not read it: of before tokens were encrypted, or without its key.
            said["payment_token"] = before.get("payment_token")
    return said


def _silently(before: Mapping[str, Any], said: Mapping[str, Any], row: EventRow) -> str | None:
    """What this event shows as changed, though no event of its kind changes it; None if nothing."""
    if not before:
        return None
    start, end = row["from_status"], said["status"]
    # The second event of one change says the same two statuses as the first.
    second = before.get("updated_at") == said["updated_at"] and before["status"] == end
    if start != before["status"] and not second:
        return f"it comes from {start}, and before it the status was {before['status']}"
    fixed: tuple[str, ...] = _NEVER
    if start != "PENDING":
        fixed += _WHILE_PENDING
    if start in CAPTURED and end in CAPTURED:
        fixed += _ONCE_CAPTURED
    for name in fixed:
        if name in before and name in said and before[name] != said[name]:
            return (
                f"its {name} is {_shown(said[name])}, and before it was {_shown(before[name])};"
                " it was changed with no event"
            )
    return None


def _hear_requests(told: Told, snapshot: Mapping[str, Any] | None) -> str | None:
    for request in snapshot["requests"] if snapshot is not None else ():
        before = told.requests.get(request["number"], request)
        for name in OF_REQUEST:
            if name not in OUTCOME and before.get(name) != request.get(name):
                return f"{name} of request {request['number']} was changed with no event"
        told.requests[request["number"]] = request
        told.mentioned.add(request["number"])
    return None


def _hear_refund(told: Told, row: EventRow, caller: str, refund: Mapping[str, Any]) -> None:
    """What a refund.* event makes of the refund's row."""
    number = _number(refund["transaction_reference"])
    told.mentioned.add(number)
    at = row["occurred_at"]
    if row["type"] == "refund.requested":
        told.refunds[number] = {
            **({"refund_id": refund["refund_id"]} if "refund_id" in refund else {}),
            "amount": refund["amount_minor"],
            "status": "PENDING",
            "reason": row["reason"],
            "caller": caller,
            "created_at": at,
            "updated_at": at,
            "completed_at": None,
        }
        return
    known = told.refunds[number]
    succeeded = row["type"] == "refund.succeeded"
    # One that is taken back keeps the time at which it was given.
    back = not succeeded and row["reason"] == TAKEN_BACK and known["completed_at"] is not None
    known |= {
        "status": "SUCCESS" if succeeded else "FAILED",
        "updated_at": at,
        "completed_at": known["completed_at"] if back else at,
    }


def _hear_asked(
    told: Told, row: EventRow, data: Mapping[str, Any], asked: Mapping[str, Any]
) -> None:
    """What an event makes of the row of a refund that was asked for."""
    at, caller = row["occurred_at"], data["caller"]
    if row["type"] == ASKED:
        told.refund_requests[asked["request_id"]] = {
            "amount": asked["amount_minor"],
            "currency": data["currency"],
            "reason": row["reason"],
            "asked_by": caller,
            "asked_at": at,
            "state": asked["state"],
            **dict.fromkeys(("decided_by", "decided_at", "decision", "refund_id")),
        }
        return
    told.refund_requests[asked["request_id"]] |= {
        "state": asked["state"],
        "decided_by": caller,
        "decided_at": at,
        "decision": asked["decision"],
        "refund_id": data.get("refund", {}).get("refund_id"),
    }


def _number(reference: str) -> int:
    return int(reference.rpartition("-")[2])


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
