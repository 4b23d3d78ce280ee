"""What payments, provider and callers should look like after each step: the model that
test_model.py holds beside the real thing. Amounts are minor units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEAD = ("FAILED", "CANCELLED", "EXPIRED")

# What a request meets on its way, and whether the provider does it all the same.
SILENCES = {
    "do_and_lose_answer": True,
    "do_and_500": True,
    "half_body": True,
    "garbage_200": True,
    "reset_before_reading": False,
    "fail_503": False,
    "half_body_not_done": False,
}
DECLINE, BUSY = "decline", "too_many_requests"
ENDINGS = (None, None, None, DECLINE, BUSY, *SILENCES)


@dataclass
class Ask:
    """One request to the provider. `done`: it did it; `open`: we do not know how it ended."""

    verb: str
    number: int
    amount: int
    key: str
    path: str
    command: Mapping[str, Any]
    open: bool = False
    done: bool = False
    given_up: bool = False
    answer: tuple[int, str] | None = None


@dataclass
class Paid:
    """One payment as it should stand here, and its charge as the provider should have it."""

    order: int
    amount: int
    token: str
    status: str = "PROCESSING"
    payment_id: int = 0
    reference: str = ""
    captured: int = 0
    refunded: int = 0
    surplus: bool = False
    # How often we were told yes after we had said no.
    contradicted: int = 0
    asks: list[Ask] = field(default_factory=list)
    # The provider's side.
    held: bool = False
    taken: int = 0
    given: int = 0

    @property
    def live(self) -> bool:
        return self.status not in DEAD

    @property
    def pending(self) -> int:
        return sum(ask.amount for ask in self.asks if ask.open and ask.verb == "refund")

    @property
    def left(self) -> int:
        return self.captured - self.refunded - self.pending

    @property
    def still(self) -> bool:
        """Whether no request about it is under way."""
        return not any(ask.open for ask in self.asks)

    def provider_does(self, ask: Ask) -> bool:
        """The request has arrived: what the provider does about it; False if it declines."""
        if ask.verb == "charge":
            self.taken = ask.amount
        elif ask.verb == "authorize":
            self.held = True
        elif ask.verb == "refund":
            if ask.amount > self.taken - self.given:
                return False
            self.given += ask.amount
        elif not self.held:
            return False
        else:
            self.held, self.taken = False, ask.amount if ask.verb == "capture" else 0
        ask.done = True
        return True

    def comes_out(self, ask: Ask, *, well: bool) -> None:
        """We learn how the request ended."""
        ask.open = False
        if well:
            self.contradicted += ask.given_up
            self._succeeds(ask)
        elif ask.verb in ("charge", "authorize"):
            self.status = "FAILED"
        elif ask.verb != "refund" and self.status == "PROCESSING":
            self.status = "AUTHORIZED"

    def _succeeds(self, ask: Ask) -> None:
        if ask.verb in ("charge", "capture"):
            self.status, self.captured = "SUCCESS", ask.amount
        elif ask.verb == "authorize":
            self.status = "AUTHORIZED"
        elif ask.verb == "void":
            self.status = "CANCELLED"
        elif ask.verb == "expire":
            self.status = "EXPIRED"
        else:
            self.refunded += ask.amount
            whole = self.refunded == self.captured
            self.status = "REFUNDED" if whole else "PARTIALLY_REFUNDED"
