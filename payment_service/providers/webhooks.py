"""What a provider says unasked: its webhooks, verified and read in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from payment_service.domain.disputes import TheirDispute
from payment_service.domain.vocabulary import Trust as Trust
from payment_service.providers.contract import Result


class RefusedFor(StrEnum):
    """Why a webhook is refused. For our counters; whoever sent it is not told."""

    NO_SIGNATURE = "no_signature"
    BAD_SIGNATURE = "bad_signature"
    TOO_OLD = "too_old"
    UNREADABLE = "unreadable"


class WebhookRefused(Exception):
    """It can't be the provider's."""

    def __init__(self, reason: RefusedFor) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Incoming:
    """One request as it came in. Names of `headers` are in lower case; `arguments` are those of the
    query."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    arguments: Mapping[str, str]
    received_at: datetime


@dataclass(frozen=True)
class Notice:
    """One thing that a webhook says of one request of ours.

    `event_key` is the same in each repeat of it and in nothing else of this provider; `event_type`
    is the provider's word. The request is named by our `reference`, or by the provider's id
    (`known_as`). `result` is what is said of it; None where it is to be looked up. `amount` (minor
    units) and `currency` are those that were asked for, if it names them. `mismatch` says what the
    provider's file saw not to be ours: another merchant, account or mode. What is not `taken` is of
    a type that we do nothing with. `only_charges`: the same words are said of a hold, and mean less
    there, so a hold is looked up. `gives_back` is the provider's id of the charge that a refund is
    about, where that bears no reference of ours: somebody made it at the provider's own page.
    `dispute` is what it says of a dispute; then it is about no request. `customer` is the
    provider's id of who has news of what it saved, where it is about that and not about a request.
    """

    event_key: str
    event_type: str
    reference: str | None = None
    known_as: str | None = None
    result: Result | None = None
    amount: int | None = None
    currency: str | None = None
    mismatch: str | None = None
    taken: bool = True
    only_charges: bool = False
    gives_back: str | None = None
    dispute: TheirDispute | None = None
    customer: str | None = None


@dataclass(frozen=True)
class Notices:
    """What one webhook says: one notice at least."""

    trust: Trust
    notices: tuple[Notice, ...]


@dataclass(frozen=True)
class Receipt:
    """What the provider must be answered, or it sends again."""

    status: int = 200
    content_type: str = "text/plain"
    body: str = ""


@runtime_checkable
class Receiver(Protocol):
    """A provider with webhooks. `event_types` is the closed list of those that are counted by
    name."""

    event_types: frozenset[str]
    webhook_receipt: Receipt

    def receive(self, incoming: Incoming) -> Notices:
        """Verifies and reads it; asks nobody, and writes nothing.

        Raises WebhookRefused. Secrets are compared in constant time.
        """
        ...
