"""Who asks, as far as a rule or a record needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from payment_service.domain.vocabulary import Actor


@dataclass(frozen=True)
class Caller:
    """`name` owns idempotency keys; `actor` and `request_id` go into the events."""

    name: str
    actor: Actor = Actor.CALLER
    request_id: str | None = None


WORKER = Caller("worker", Actor.WORKER)
