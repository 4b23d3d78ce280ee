"""What comes next by itself, and when: the one rule for the time line and for explanations.

It says what the worker will do (services/moves/resolution, expiry, giving_back), from the same
columns that the worker goes by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from payment_service.domain.vocabulary import (
    ASKS,
    PAID,
    PaymentStatus,
    TransactionStatus,
    TransactionType,
)

PAID_TWICE = "paid_twice"
"""The cause of a charge beside the payment's amounts, and of the refund that gives it back."""

_OPEN = (TransactionStatus.PROCESSING, TransactionStatus.REQUIRES_ACTION)


@dataclass(frozen=True)
class Standing:
    """How a payment stands; amounts in minor units. `cash` says that a person collects it."""

    status: str
    amount: int
    currency: str
    captured: int
    refunded: int
    refund_pending: int
    share: int
    provider: str | None
    imported: bool
    failure_code: str | None
    failure_message: str | None
    created_at: datetime
    completed_at: datetime | None
    expires_at: datetime | None
    cash: bool = False
    disputed: int | None = None
    charged_back: int | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any], **more: Any) -> Self:
        """Of a row of payments."""
        return cls(**_fields(cls, row), **more)


@dataclass(frozen=True)
class Asked:
    """One request to a provider. The last three are what only the registry of providers knows: a
    person says how it ends; its wait for a payer is over by itself; the provider is off here."""

    number: int
    reference: str
    type: str
    status: str
    amount: int
    currency: str
    provider: str
    provider_reference: str | None
    cause: str | None
    description: str | None
    failure_code: str | None
    failure_message: str | None
    created_at: datetime
    occurred_at: datetime | None
    due_at: datetime | None
    lookups: int
    not_found_at: datetime | None
    leased_until: datetime | None
    by_hand: bool = False
    ends_by_itself: bool = False
    off: bool = False

    @classmethod
    def of(cls, row: Mapping[str, Any], **more: Any) -> Self:
        """Of a row of transactions."""
        return cls(**_fields(cls, row), **more)

    def is_open(self) -> bool:
        """Whether its outcome is not known yet."""
        return self.status in _OPEN

    def is_beside(self) -> bool:
        """Whether the payment's amounts know nothing of it: it was paid twice, or gives that
        back."""
        return self.cause == PAID_TWICE

    def can_be_looked_up(self) -> bool:
        """Whether its provider, if that is on, can say more of how it ends."""
        beside = self.is_beside() and self.type in ASKS
        return self.is_open() and not (self.by_hand or self.off or beside)


def _fields(cls: type, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the row has of the class's fields."""
    return {field.name: row[field.name] for field in fields(cls) if field.name in row}


class StepKind(StrEnum):
    """What the worker will do."""

    LOOK_UP = "LOOK_UP"  # ask what became of a request
    CHECK = "CHECK"  # ask once more about one that has ended
    RELEASE = "RELEASE"  # void a hold whose time is over
    END_WAIT = "END_WAIT"  # end the wait for a payer
    GIVE_BACK = "GIVE_BACK"  # what was paid twice
    GIVE_BACK_SURPLUS = "GIVE_BACK_SURPLUS"


@dataclass(frozen=True)
class Step:
    """What will be done, when, and in the words of the time line. `asked` is the request that it is
    about, if it is about one."""

    kind: StepKind
    at: datetime
    what: str
    asked: Asked | None = None


def steps(payment: Standing, requests: Sequence[Asked]) -> list[Step]:
    """All that will be done by itself, the first first."""
    found = [step for asked in requests if (step := _of_request(asked, requests))]
    if end := _of_payment(payment, requests):
        found.append(end)
    return sorted(found, key=lambda step: step.at)


def _of_request(asked: Asked, requests: Iterable[Asked]) -> Step | None:
    if asked.due_at is None:
        return None
    if asked.is_beside() and asked.type in ASKS:
        if any(one.is_open() for one in _refunds_of(asked, requests)):
            return None  # that refund is what is looked up
        what = f"give back {asked.reference}, which was paid twice"
        return Step(StepKind.GIVE_BACK, asked.due_at, what, asked)
    if asked.is_open() and waits_for_a_person(asked):
        return None
    kind = StepKind.LOOK_UP if asked.is_open() else StepKind.CHECK
    what = f"look up {asked.reference} at {asked.provider}{_why(asked)}"
    if asked.off:
        what += ", as soon as that is on again"
    return Step(kind, asked.due_at, what, asked)


def waits_for_a_person(asked: Asked) -> bool:
    """Whether looking it up is in vain, since nobody but a person knows: money that is handed
    back. (Cash that was collected came with the caller's word; a look-up answers from that.)"""
    return asked.by_hand and asked.type == TransactionType.REFUND


def _refunds_of(charge: Asked, requests: Iterable[Asked]) -> list[Asked]:
    return [
        one
        for one in requests
        if one.type == TransactionType.REFUND
        and one.is_beside()
        and one.description == charge.reference
    ]


_UNDONE = {
    TransactionType.CAPTURE: "nothing was taken",
    TransactionType.VOID: "the hold was not released",
    TransactionType.REFUND: "nothing was given back",
}


def _why(asked: Asked) -> str:
    """Why one that has ended is looked up all the same."""
    if asked.is_open():
        return ""
    once_more = " once more, to be sure that"
    if asked.status == TransactionStatus.SUCCESS:
        stands = "it was not paid twice" if asked.type in ASKS else "it still stands"
        return f"{once_more} {stands}"
    if asked.failure_code == "not_received":
        return f"{once_more} it was not received"
    return f"{once_more} {_UNDONE.get(TransactionType(asked.type), 'nothing was paid')}"


def _of_payment(payment: Standing, requests: Sequence[Asked]) -> Step | None:
    """What happens to the payment when its time is over. It is kept while a capture or void is
    under way, and nothing happens at it then."""
    at, status = payment.expires_at, payment.status
    if at is None:
        return None
    if status == PaymentStatus.AUTHORIZED:
        return Step(StepKind.RELEASE, at, "the hold expires and is voided")
    if status == PaymentStatus.REQUIRES_ACTION:
        return _end_of_wait(at, requests)
    if status in PAID and not payment.refund_pending:
        return Step(StepKind.GIVE_BACK_SURPLUS, at, "the surplus money is given back")
    return None


def _end_of_wait(at: datetime, requests: Sequence[Asked]) -> Step | None:
    """By a void; where none ends it, by the first look-up from then on."""
    if any(one.type == TransactionType.VOID and one.is_open() for one in requests):
        return None
    waiting = [one for one in requests if one.status == TransactionStatus.REQUIRES_ACTION]
    ends_by = [one.due_at for one in waiting if one.ends_by_itself and one.due_at]
    return Step(StepKind.END_WAIT, max([at, *ends_by]), "the wait for the payer ends")
