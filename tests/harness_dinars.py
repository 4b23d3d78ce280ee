"""What the providers of Iraq have in common in the conformance suite."""

from __future__ import annotations

from payment_service.domain.vocabulary import TransactionType
from payment_service.providers.contract import Operation
from tests.harness import AtSandbox, Word
from tests.sandbox_calls import post


class DinarHarness(AtSandbox):
    """Its payers decide on a page, and it finds a payment by its own id only."""

    dialect: str
    where: str
    """What the payer opens, of the dialect."""

    currency = "IQD"
    amount = 10_000_000
    return_url = "http://127.0.0.1:9/v1/pay/1/mac/return"
    lookup_silences = (*AtSandbox.lookup_silences, "lookup_not_found")
    acts = frozenset({TransactionType.CHARGE})
    pending = frozenset({TransactionType.REFUND})
    refuses_too_much = frozenset()

    def payer_says(self, operation: Operation, word: Word, code: str | None = None) -> None:
        path = f"/{self.dialect}/{self.where}/{payment_of(operation)}"
        answer = post(self._sandbox, path, outcome="approve" if word == "yes" else "decline")
        assert answer.ok, answer.text


def payment_of(operation: Operation) -> str | None:
    """The provider's id of the payment that the operation is, or is about."""
    charge = operation.type is TransactionType.CHARGE
    return operation.known_as if charge else operation.provider_reference
