"""What a provider may be able to do beside the verbs: tell of disputes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol, runtime_checkable

from payment_service.domain.disputes import TheirDispute


@runtime_checkable
class Disputes(Protocol):
    """A provider with Extra.DISPUTES in its capabilities."""

    def dispute(self, provider_dispute_id: str) -> TheirDispute | None:
        """As it stands now, with all its movements; None if it has none of that id.

        Raises OutcomeUnknown if no certain answer came.
        """
        ...

    def disputes_since(self, moment: datetime) -> Iterator[TheirDispute]:
        """All that were opened at that moment or later, in any order. Raises OutcomeUnknown, at any
        item."""
        ...
