"""Stripe's disputes, as its API and its events show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from payment_service.domain.disputes import (
    DisputeKind,
    DisputeStatus,
    Movement,
    MovementKind,
    TheirDispute,
)
from payment_service.providers import members

Found = Mapping[str, Any]

_NEEDS, _REVIEW = DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW
_INQUIRY, _CHARGEBACK = DisputeKind.INQUIRY, DisputeKind.CHARGEBACK
_STATUSES = {
    "warning_needs_response": (_INQUIRY, _NEEDS),
    "warning_under_review": (_INQUIRY, _REVIEW),
    "warning_closed": (_INQUIRY, DisputeStatus.CLOSED),
    "prevented": (_INQUIRY, DisputeStatus.CLOSED),
    "needs_response": (_CHARGEBACK, _NEEDS),
    "under_review": (_CHARGEBACK, _REVIEW),
    "won": (_CHARGEBACK, DisputeStatus.WON),
    "lost": (_CHARGEBACK, DisputeStatus.LOST),
}


def read(dispute: Found) -> TheirDispute:
    """What the object says. Raises one of `answers.UNREADABLE` for one that is none of Stripe's."""
    kind, status = _STATUSES[dispute["status"]]
    details = dispute["evidence_details"]
    due_by = details.get("due_by")
    booked = [line for one in dispute["balance_transactions"] for line in _movements(one, dispute)]
    return TheirDispute(
        provider_dispute_id=members.text(dispute["id"]),
        charge=members.text(dispute["payment_intent"]),
        kind=kind,
        status=status,
        reason=members.text(dispute["reason"]),
        amount=int(dispute["amount"]),
        currency=str(dispute["currency"]).upper(),
        evidence_due_at=None if due_by is None else _moment(due_by),
        submissions=int(details["submission_count"]),
        opened_at=_moment(dispute["created"]),
        movements=tuple(booked),
    )


def _movements(booked: Found, dispute: Found) -> list[Movement]:
    """The amount that was taken or given back, and the fee, which Stripe books in one line. In
    another currency than the charge's, the whole dispute was moved."""
    amount, fee = int(booked["amount"]), int(booked["fee"])
    same = booked["currency"] == dispute["currency"]
    known: dict[str, Any] = {
        "currency": str(booked["currency"]).upper(),
        "occurred_at": _moment(booked["created"]),
    }
    found = []
    if amount:
        kind = MovementKind.WITHDRAWN if amount < 0 else MovementKind.REINSTATED
        counted = abs(amount) if same else int(dispute["amount"])
        moved = members.text(booked["id"])
        found.append(Movement(moved, kind, abs(amount), counted=counted, **known))
    if fee > 0:
        found.append(Movement(f"{booked['id']}:fee", MovementKind.FEE, fee, counted=0, **known))
    return found


def _moment(seconds: Any) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
