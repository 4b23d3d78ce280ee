"""Fiuu in the conformance suite: its page is opened as a payer's browser does it."""

from __future__ import annotations

from typing import Any

import requests

from payment_service.domain.vocabulary import ASKS, Method, TransactionType
from payment_service.providers.contract import Operation, Outcome, Payer
from payment_service.providers.fiuu import Fiuu, FiuuProvider
from payment_service.providers.fiuu.signatures import Keys
from tests.harness import AtSandbox, Word
from tests.patience import LIMITS, PATIENCE
from tests.sandbox_calls import arm, get
from tests.sandbox_server import Sandbox

CODES = {
    "insufficient_funds": "51",
    "do_not_honor": "05",
    "expired_card": "54",
    "incorrect_cvc": "N7",
    "fraud_suspected": "41",
    "limit_exceeded": "61",
    "provider_declined": "CC_777",
}
"""What Fiuu says for our codes."""

KEYS = Keys("SB_test", "vkey", "skey")


def account(sandbox: Sandbox, **changes: Any) -> Fiuu:
    """The merchant's account at the sandbox."""
    url = f"{sandbox.url}/fiuu"
    return Fiuu(**{"keys": KEYS, "pay_url": url, "api_url": url, **changes})


class FiuuHarness(AtSandbox):
    method = Method.CARD
    currency = "MYR"
    payer = Payer(name="A | B", email="payer@example.com", phone="+60123456789")
    return_url = "https://pay.example.com/v1/pay/1/mac/return"
    sends = frozenset(TransactionType) - frozenset(ASKS)
    lookup_silences = (*AtSandbox.lookup_silences, "lookup_not_found")
    declines = tuple(CODES)
    acts = frozenset(ASKS)
    pending = frozenset({TransactionType.REFUND})
    lists = acts
    never_asked = Outcome.REQUIRES_ACTION

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, FiuuProvider(account(sandbox), LIMITS))

    def fall_silent(self, operation: Operation, how: str) -> None:
        match = {"transaction": operation.provider_reference}
        arm(self._sandbox, operation.type.lower(), how, match=match)

    def fall_silent_at_lookup(self, operation: Operation, how: str) -> None:
        by_charge = (TransactionType.CAPTURE, TransactionType.VOID)
        of = operation.charge_reference if operation.type in by_charge else operation.reference
        arm(self._sandbox, "lookup", how, times=0, match={"reference": of})

    def open_page(self, operation: Operation) -> requests.Response:
        """As a browser opens it; it may be opened more than once."""
        action = self.provider.ask(operation).next_action
        assert action is not None
        return requests.post(action["url"], data=action["form"], timeout=PATIENCE)

    def payer_says(self, operation: Operation, word: Word, code: str | None = None) -> None:
        page = self.open_page(operation)
        assert page.status_code == 200, page.text
        said = {"word": word, "as": "json"}
        if code is not None:
            said["error_code"] = CODES[code]
        url = f"{self._sandbox.url}/fiuu/orders/{operation.reference}"
        assert requests.post(url, data=said, timeout=PATIENCE).status_code == 200

    def bank_says(self, operation: Operation, word: Word) -> None:
        url = f"{self._sandbox.url}/fiuu/refunds/{operation.reference}"
        said = {"status": "success" if word == "yes" else "rejected"}
        assert requests.post(url, data=said, timeout=PATIENCE).status_code == 200

    def times_done(self, operation: Operation) -> int:
        noun = {"CHARGE": "transactions", "AUTHORIZATION": "transactions"}.get(
            operation.type, f"{operation.type.lower()}s"
        )
        rows = get(self._sandbox, f"/fiuu/RMS/{noun}")[noun]
        if operation.type in ASKS:
            return len([row for row in rows if row["order"] == operation.reference])
        if operation.type is TransactionType.REFUND:
            return len([row for row in rows if row["RefID"] == operation.reference])
        return len([row for row in rows if row["transaction"] == operation.provider_reference])
