"""The sandbox's provider in the conformance suite."""

from __future__ import annotations

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers.contract import Operation
from payment_service.providers.sandbox import SandboxProvider
from tests.harness import AtSandbox, Word
from tests.patience import LIMITS
from tests.sandbox_calls import arm, decide, get
from tests.sandbox_server import Sandbox

_LISTS = {"CHARGE": "charges", "AUTHORIZATION": "charges"}
_VERBS = {TransactionType.AUTHORIZATION: "authorize"}


class SandboxHarness(AtSandbox):
    method = Method.CARD
    declines = ("insufficient_funds", "do_not_honor", "expired_card", "fraud_suspected")
    acts = frozenset({TransactionType.CHARGE, TransactionType.AUTHORIZATION})
    token_to_act = "tok_requires_action"

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, SandboxProvider(sandbox.url, LIMITS))

    def token_for_decline(self, code: str) -> str:
        return f"tok_decline_{code}"

    def fall_silent(self, operation: Operation, how: str) -> None:
        verb = _VERBS.get(operation.type, operation.type.lower())
        arm(self._sandbox, verb, how, match={"reference": operation.reference})

    def fall_silent_at_lookup(self, operation: Operation, how: str) -> None:
        match = {"reference": operation.reference}
        arm(self._sandbox, "lookup", how, times=0, match=match)

    def payer_says(self, operation: Operation, word: Word, code: str | None = None) -> None:
        outcome = "approve" if word == "yes" else "decline"
        assert decide(self._sandbox, operation.reference, outcome).ok

    def times_done(self, operation: Operation) -> int:
        name = _LISTS.get(operation.type, f"{operation.type.lower()}s")
        done = get(self._sandbox, f"/psp/{name}")[name]
        return len([one for one in done if one["reference"] == operation.reference])
