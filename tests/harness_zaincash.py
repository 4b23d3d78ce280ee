"""ZainCash in the conformance suite, at the sandbox's dialect of it."""

from __future__ import annotations

from typing import Any

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers.contract import Operation
from payment_service.providers.zaincash import ZainCashProvider
from payment_service.sandbox.dialects.zaincash.signing import KEY
from tests.harness_dinars import DinarHarness
from tests.patience import LIMITS
from tests.sandbox_calls import arm, get
from tests.sandbox_server import Sandbox

SECRET = "of-the-payment-service-at-the-wallet"


def a_zaincash(sandbox: Sandbox, **changes: Any) -> ZainCashProvider:
    """The provider that asks this sandbox."""
    given: dict[str, Any] = {"api_key": KEY, "service_type": "Rides"} | changes
    return ZainCashProvider(f"{sandbox.url}/zaincash", "payments", SECRET, LIMITS, **given)


class ZainCashHarness(DinarHarness):
    dialect, where = "zaincash", "pay"
    method = Method.WALLET
    sends = frozenset({TransactionType.CHARGE})
    declines = ("provider_declined",)
    replays = frozenset({TransactionType.REFUND})

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, a_zaincash(sandbox))

    def fall_silent(self, operation: Operation, how: str) -> None:
        match = {"reference": operation.reference, "dialect": self.dialect}
        arm(self._sandbox, operation.type.lower(), how, match=match)

    def fall_silent_at_lookup(self, operation: Operation, how: str) -> None:
        arm(self._sandbox, "lookup", how, times=0, match={"transactionId": operation.known_as})

    def times_done(self, operation: Operation) -> int | None:
        if operation.type is not TransactionType.CHARGE:
            return None
        rows = get(self._sandbox, "/zaincash/books")["transactions"]
        ours = [row for row in rows if row["reference"] == operation.reference]
        return sum(row["status"] == "SUCCESS" for row in ours)
