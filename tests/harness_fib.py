"""First Iraqi Bank in the conformance suite, at the sandbox's dialect of it."""

from __future__ import annotations

from typing import Any

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers.contract import Operation, Outcome
from payment_service.providers.fib import FibProvider
from tests.harness import BODILESS, AtSandbox, Word
from tests.harness_dinars import DinarHarness, payment_of
from tests.patience import LIMITS
from tests.sandbox_calls import arm, get
from tests.sandbox_server import Sandbox

SECRET = "of-the-payment-service-at-the-bank"
PUBLIC_URL = "http://127.0.0.1:9"  # nobody is there: its callbacks are another test's
_COUNTS = {TransactionType.VOID: "cancels", TransactionType.REFUND: "refunds"}


def a_fib(sandbox: Sandbox, **changes: Any) -> FibProvider:
    """The provider that asks this sandbox."""
    given: dict[str, Any] = {"public_url": PUBLIC_URL, "page_seconds": 900.0} | changes
    return FibProvider(f"{sandbox.url}/fib", "payments", SECRET, LIMITS, **given)


class FibHarness(DinarHarness):
    dialect, where = "fib", "app"
    method = Method.CARD
    # Of its answers to what moves money, only the one to a charge has a body.
    silences = tuple(how for how in AtSandbox.silences if how != BODILESS)
    declines = ("cancelled_by_payer",)
    after_bank_no = None
    replays = frozenset()
    voids_waits = True

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, a_fib(sandbox))

    def fall_silent(self, operation: Operation, how: str) -> None:
        match = (
            {"reference": operation.reference}
            if operation.type is TransactionType.CHARGE
            else {"paymentId": operation.provider_reference}
        )
        arm(self._sandbox, operation.type.lower(), how, match={**match, "dialect": self.dialect})

    def fall_silent_at_lookup(self, operation: Operation, how: str) -> None:
        arm(self._sandbox, "lookup", how, times=0, match={"paymentId": payment_of(operation)})

    def bank_says(self, operation: Operation, word: Word) -> None:
        self.payer_says(operation, word)

    def times_done(self, operation: Operation) -> int:
        rows = get(self._sandbox, "/fib/books")["payments"]
        if operation.type is TransactionType.CHARGE:
            ours = [row for row in rows if row["reference"] == operation.reference]
            return sum(row["paidAt"] is not None for row in ours)
        (row,) = [row for row in rows if row["id"] == operation.provider_reference]
        count: int = row[_COUNTS[operation.type]]
        return count

    def begins(self, kind: TransactionType) -> Outcome:
        return Outcome.APPROVED if kind is TransactionType.VOID else super().begins(kind)
