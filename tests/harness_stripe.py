"""Stripe, as the sandbox speaks it, in the conformance suite."""

from __future__ import annotations

from typing import Any

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers.contract import Operation
from payment_service.sandbox.dialects.stripe.objects import VERSION
from tests import stripe_calls
from tests.harness import AtSandbox, Word
from tests.sandbox_calls import arm, post
from tests.sandbox_server import Sandbox

_VERBS = {TransactionType.AUTHORIZATION: "authorize"}


class StripeHarness(AtSandbox):
    method = Method.CARD
    token = "pm_card_visa"
    return_url = "https://rides.example/back"
    declines = tuple(stripe_calls.DECLINES)
    acts = frozenset({TransactionType.CHARGE, TransactionType.AUTHORIZATION})
    token_to_act = "pm_card_authenticationRequired"

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, stripe_calls.provider(sandbox, version=VERSION))

    def token_for_decline(self, code: str) -> str:
        return stripe_calls.DECLINES[code]

    def fall_silent(self, operation: Operation, how: str) -> None:
        verb = _VERBS.get(operation.type, operation.type.lower())
        arm(self._sandbox, verb, how, match={"reference": operation.reference})

    def fall_silent_at_lookup(self, operation: Operation, how: str) -> None:
        arm(self._sandbox, "lookup", how, times=0, match={"dialect": "stripe"})

    def payer_says(self, operation: Operation, word: Word, code: str | None = None) -> None:
        outcome = "approve" if word == "yes" else "decline"
        assert post(self._sandbox, f"/stripe/3ds/{operation.known_as}", outcome=outcome).ok

    def times_done(self, operation: Operation) -> int:
        if operation.type is TransactionType.REFUND:
            rows = stripe_calls.listed(self._sandbox, "refunds")
        else:
            rows = stripe_calls.listed(self._sandbox, "payment_intents")
        if operation.type is TransactionType.VOID:
            return len([one for one in rows if _is_void_of(one, operation)])
        name = "capture" if operation.type is TransactionType.CAPTURE else "reference"
        return len([one for one in rows if one["metadata"].get(name) == operation.reference])


def _is_void_of(intent: dict[str, Any], operation: Operation) -> bool:
    return intent["id"] == operation.provider_reference and intent["status"] == "canceled"
