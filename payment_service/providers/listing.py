"""What a provider may be able to do beside the verbs: say what it did since a moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from payment_service.domain.vocabulary import TransactionType
from payment_service.providers.contract import Outcome


@dataclass(frozen=True)
class Listed:
    """One operation as it stands at the provider. `amount` is minor units of `currency`.

    `reference` is ours, and so is `charge_reference`: that of the charge or hold which a capture,
    void or refund is about.
    """

    type: TransactionType
    reference: str
    amount: int
    currency: str
    outcome: Outcome
    provider_reference: str
    occurred_at: datetime
    charge_reference: str | None = None


@runtime_checkable
class Listing(Protocol):
    """A provider with Extra.LISTING in its capabilities. After a restore it is asked what it did
    that the backup does not know."""

    def since(self, moment: datetime) -> Iterator[Listed]:
        """All that was done or changed at that moment or later, declines too, in any order.

        Raises OutcomeUnknown if no certain answer came, at any item.
        """
        ...
