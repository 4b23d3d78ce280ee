"""Swish in the conformance suite, with the payer's phone; pages are in test_swish.py."""

from __future__ import annotations

import secrets

import requests

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.http import Tls
from payment_service.providers.contract import Limits, Operation, Payer
from payment_service.providers.swish import Merchant, SwishProvider
from payment_service.providers.swish_callbacks import instruction_uuid
from tests.harness import BODILESS, AtSandbox, Word
from tests.patience import LIMITS, PATIENCE
from tests.sandbox_calls import arm, get
from tests.sandbox_server import Sandbox

ALIAS = "1231181189"
SECRET = "a secret of callbacks, at random: 0"
_CODES = {"cancelled_by_payer": "BANKIDCL", "provider_declined": "TM01"}


def a_phone(habit: str) -> str:
    """E.164. Its end says how the payer and the bank are (docs/sandbox.md)."""
    return f"+4670{secrets.randbelow(10**6):06}{habit}"


def a_provider(
    sandbox: Sandbox,
    tls: Tls | None = None,
    *,
    callback_url: str = "http://127.0.0.1:1/v1/webhooks/swish",
    limits: Limits = LIMITS,
) -> SwishProvider:
    merchant = Merchant(ALIAS, SECRET, callback_url)
    known = tls or sandbox.authority.tls(ALIAS)
    return SwishProvider(sandbox.swish_url, known, merchant, limits)


def uuid_of(operation: Operation) -> str:
    void = operation.type is TransactionType.VOID
    return instruction_uuid((operation.charge_reference if void else operation.reference) or "")


def says(sandbox: Sandbox, operation: Operation, outcome: str) -> None:
    """The payer or the bank."""
    answer = requests.post(
        f"{sandbox.url}/swish/phones/{uuid_of(operation)}",
        json={"outcome": outcome},
        timeout=PATIENCE,
    )
    assert answer.ok, answer.text


class SwishHarness(AtSandbox):
    method = Method.SWISH
    currency = "SEK"
    # Its answer to a request has no body. What hangs is in test_swish.py: within this suite's short
    # time-out for it a connection with TLS may not stand yet.
    silences = tuple(how for how in AtSandbox.silences if how not in (*AtSandbox.hangs, BODILESS))
    hangs = ()
    declines = ("cancelled_by_payer", "provider_declined")
    acts = frozenset({TransactionType.CHARGE})
    pending = frozenset({TransactionType.REFUND})
    voids_waits = True

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, a_provider(sandbox))

    @property
    def payer(self) -> Payer:  # type: ignore[override]
        """A phone of its own each time: one payer is asked for one payment at a time."""
        return Payer(phone=a_phone("00"))

    def fall_silent(self, operation: Operation, how: str) -> None:
        verb = operation.type.lower()
        arm(self._sandbox, verb, how, match={"id": uuid_of(operation)})

    def fall_silent_at_lookup(self, operation: Operation, how: str) -> None:
        arm(self._sandbox, "lookup", how, times=0, match={"id": uuid_of(operation)})

    def payer_says(self, operation: Operation, word: Word, code: str | None = None) -> None:
        no = _CODES[code] if code else "decline"
        says(self._sandbox, operation, "approve" if word == "yes" else no)

    def bank_says(self, operation: Operation, word: Word) -> None:
        says(self._sandbox, operation, "approve" if word == "yes" else "FF10")

    def times_done(self, operation: Operation) -> int:
        noun = "refunds" if operation.type is TransactionType.REFUND else "payments"
        rows = get(self._sandbox, f"/swish/{noun}")[noun]
        mine = [row for row in rows if row["id"] == uuid_of(operation)]
        if operation.type is TransactionType.VOID:
            return len([row for row in mine if row["status"] == "CANCELLED"])
        return len(mine)
