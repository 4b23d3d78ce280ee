"""Cash: handed to the driver, so there is nobody to ask."""

from __future__ import annotations

from datetime import UTC, datetime

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers.contract import Operation, Outcome, Result
from payment_service.providers.provider import Provider


class CashProvider(Provider):
    """No network. The caller's word that cash was handed over is all there is, and it came with
    the request: a look-up after a crash answers from it too. A refund waits for a person, who
    hands it back and says so."""

    name = "cash"
    methods = frozenset({Method.CASH})
    by_hand = frozenset({TransactionType.CHARGE, TransactionType.REFUND})
    capabilities = by_hand

    def _ask(self, operation: Operation) -> Result:
        if operation.type is TransactionType.REFUND:
            return Result(Outcome.PENDING)
        return Result(
            Outcome.APPROVED,
            provider_reference=f"cash-{operation.reference}",
            amount_approved=operation.amount,
            fee=0,
            occurred_at=datetime.now(UTC),
        )

    def _lookup(self, operation: Operation) -> Result | None:
        return self._ask(operation)
