"""What the relay hands a sink, and what it wants to hear back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True)
class LeasedDelivery:
    """One event on its way to one sink. `body` is the CloudEvent's text as it is stored.

    `attempts` were made before; `leased_until` is the time until which no other relay takes it;
    `traceparent` is W3C's, of where the event came to be.
    """

    payment_id: int
    seq: int
    event_id: str
    type: str
    body: str
    attempts: int
    leased_until: datetime
    traceparent: str | None = None


@dataclass(frozen=True)
class DeliveryEnding:
    """How one delivery went. `error` None: the sink has it for sure.

    `tried` False: it never got its turn, which is no attempt. `retry_after`: seconds that the sink
    asked us to wait.
    """

    delivery: LeasedDelivery
    error: str | None = None
    tried: bool = True
    retry_after: float = 0.0

    def as_json(self, wait: float) -> dict[str, Any]:
        """For the statement that marks it; `wait` is seconds until the next try."""
        return {
            "payment_id": self.delivery.payment_id,
            "seq": self.delivery.seq,
            "leased_until": self.delivery.leased_until.isoformat(),
            "error": self.error,
            "wait": wait,
        }


class Sink(Protocol):
    """One who hears events, and how they get there. Several threads may use it at once."""

    batch: int
    """How many deliveries it takes at once."""

    lease_seconds: float
    """Longer than `deliver` of a whole batch takes at worst."""

    def deliver(self, batch: Sequence[LeasedDelivery]) -> list[DeliveryEnding]:
        """Delivers, and says of each how it went. Raises nothing that a sink can cause."""
        ...

    def tend(self) -> None:
        """Called while there is nothing to deliver."""
        ...

    def close(self) -> None:
        """Lets go of its connections; it may be used again."""
        ...
