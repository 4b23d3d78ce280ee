"""Disputes as rules: where one stands, what may follow, and what of a payment's money is in dispute
or lost by it. Money follows movements, never a status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DisputeKind(StrEnum):
    """An inquiry moves no money and may become a chargeback."""

    INQUIRY = "INQUIRY"
    CHARGEBACK = "CHARGEBACK"


class DisputeStatus(StrEnum):
    """Where a dispute stands; CLOSED is an inquiry that came to nothing."""

    NEEDS_RESPONSE = "NEEDS_RESPONSE"
    UNDER_REVIEW = "UNDER_REVIEW"
    WON = "WON"
    LOST = "LOST"
    CLOSED = "CLOSED"


class MovementKind(StrEnum):
    """What a dispute did to the money at the provider."""

    WITHDRAWN = "WITHDRAWN"
    REINSTATED = "REINSTATED"
    FEE = "FEE"


@dataclass(frozen=True)
class Movement:
    """One booking at the provider, by its id there. `amount` is minor units of `currency`, never
    negative; where that is not the payment's currency, `counted` says what it was of the payment's.
    """

    provider_movement_id: str
    kind: MovementKind
    amount: int
    currency: str
    counted: int
    occurred_at: datetime


@dataclass(frozen=True)
class TheirDispute:
    """A dispute as it stands at its provider.

    `charge` is the provider's id of the charge that it is about, `amount` minor units of
    `currency`, the charge's. `submissions` is how often evidence was submitted.
    """

    provider_dispute_id: str
    charge: str
    kind: DisputeKind
    status: DisputeStatus
    reason: str
    amount: int
    currency: str
    evidence_due_at: datetime | None
    submissions: int
    opened_at: datetime
    movements: tuple[Movement, ...] = ()


_RANKS = {
    DisputeStatus.NEEDS_RESPONSE: 0,
    DisputeStatus.UNDER_REVIEW: 1,
    DisputeStatus.CLOSED: 2,
    DisputeStatus.WON: 2,
    DisputeStatus.LOST: 3,
}


def goes_on(
    kind: DisputeKind, status: DisputeStatus, to_kind: DisputeKind, to: DisputeStatus
) -> bool:
    """Whether that is news of a dispute which stands so: weaker or older news moves nothing back. A
    chargeback is news of any inquiry; one that was won may be lost later."""
    if kind is not to_kind:
        return to_kind is DisputeKind.CHARGEBACK
    return _RANKS[to] > _RANKS[status]


@dataclass(frozen=True)
class DisputedMoney:
    """Minor units of one payment: in dispute, and lost by disputes."""

    disputed: int = 0
    charged_back: int = 0


def money_of(disputes: Iterable[tuple[DisputeStatus, Iterable[Movement]]]) -> DisputedMoney:
    """What all disputes of a payment hold of it: of each what was withdrawn and not reinstated, as
    lost where it was lost."""
    disputed = charged_back = 0
    for status, movements in disputes:
        signs = {MovementKind.WITHDRAWN: 1, MovementKind.REINSTATED: -1, MovementKind.FEE: 0}
        gone = max(0, sum(signs[one.kind] * one.counted for one in movements))
        if status is DisputeStatus.LOST:
            charged_back += gone
        else:
            disputed += gone
    return DisputedMoney(disputed, charged_back)
