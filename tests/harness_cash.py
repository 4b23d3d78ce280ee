"""Cash in the conformance suite: nobody is asked."""

from __future__ import annotations

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers.cash import CashProvider
from payment_service.providers.contract import Outcome
from tests.harness import Harness
from tests.patience import LIMITS
from tests.sandbox_server import Sandbox


class CashHarness(Harness):
    method = Method.CASH
    pending = frozenset({TransactionType.REFUND})
    refuses_too_much = frozenset()
    never_asked = Outcome.APPROVED

    def __init__(self, sandbox: Sandbox) -> None:
        self.provider = CashProvider(LIMITS)
