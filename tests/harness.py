"""What the conformance suite must know of a provider, and the operations that it is asked for."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers.contract import Operation, Outcome, Payer, Result
from payment_service.providers.provider import Provider
from tests.sandbox_calls import disarm
from tests.sandbox_server import Sandbox

Word = Literal["yes", "no"]

TYPES = list(TransactionType)
NEEDS = {
    TransactionType.CAPTURE: TransactionType.AUTHORIZATION,
    TransactionType.VOID: TransactionType.AUTHORIZATION,
    TransactionType.REFUND: TransactionType.CHARGE,
}


class Harness:
    """Makes its provider's other side give an outcome or fall silent; what must come back is the
    same for all. What is empty here, the provider has not."""

    provider: Provider
    method: Method
    currency = "INR"
    amount = 10_000
    """Minor units; a whole number of the provider's steps, and so are four tenths of it."""
    payer: Payer | None = None
    return_url: str | None = None

    silences: tuple[str, ...] = ()
    """Of a request that moves money. `hangs` are those of them that our time-out ends."""
    hangs: tuple[str, ...] = ()
    sends: frozenset[TransactionType] = frozenset(TransactionType)
    """What is a request at all; a page whose address we write ourselves is none."""
    lookup_silences: tuple[str, ...] = ()
    """Of a look-up, also answers that can't be believed."""
    declines: tuple[str, ...] = ()
    """Our codes that its other side can be made to decline with."""

    acts: frozenset[TransactionType] = frozenset()
    """What can wait for the payer: always, or, with `token_to_act`, for that token only."""
    token: str | None = None
    """Of a charge that goes well; a payment without one has none."""
    token_to_act: str | None = None
    after_no = Outcome.DECLINED
    """What a look-up tells after the payer's no."""
    pending: frozenset[TransactionType] = frozenset()
    """What begins PENDING."""
    after_bank_no: Outcome | None = Outcome.DECLINED
    """What a look-up tells when that came to nothing; None if it is as if it was never asked."""
    voids_waits = False
    """A void ends a payer's wait; there are no holds."""
    replays: frozenset[TransactionType] = frozenset(TransactionType)
    """What is done once even if it is asked for twice."""
    lists: frozenset[TransactionType] = frozenset(TransactionType)
    """What a Listing shows as operations of their own."""
    refuses_too_much: frozenset[TransactionType] = frozenset(
        {TransactionType.CAPTURE, TransactionType.REFUND}
    )
    never_asked: Outcome | None = None
    """What a look-up tells of a charge that nobody has asked for."""

    def close(self) -> None:
        """Ends what the harness started."""

    def token_for_decline(self, code: str) -> str | None:
        """Of a charge without a page."""
        return None

    def fall_silent(self, operation: Operation, how: str) -> None:
        """The request for this operation meets the silence."""
        raise NotImplementedError

    def fall_silent_at_lookup(self, operation: Operation, how: str) -> None:
        """Look-ups of this operation meet the silence, until `speak_again`."""
        raise NotImplementedError

    def speak_again(self) -> None:
        """No silence is left over."""
        raise NotImplementedError

    def payer_says(self, operation: Operation, word: Word, code: str | None = None) -> None:
        """The payer decides on the page that was opened for the operation, whose `known_as` is
        what the provider told; a no for the reason that we call `code`."""
        raise NotImplementedError

    def bank_says(self, operation: Operation, word: Word) -> None:
        """What is PENDING ends."""
        raise NotImplementedError

    def times_done(self, operation: Operation) -> int | None:
        """How often the other side did it, by its own books; None where it keeps none."""
        return None

    def begins(self, kind: TransactionType) -> Outcome:
        """How the provider answers what it will do."""
        if kind in self.acts and self.token_to_act is None:
            return Outcome.REQUIRES_ACTION
        return Outcome.PENDING if kind in self.pending else Outcome.APPROVED


BODILESS = "half_body"
"""Not among the silences where an answer has no body: half of none is all of it."""


class AtSandbox(Harness):
    """A provider whose other side is a dialect of the sandbox, and falls silent in its ways
    (docs/sandbox.md)."""

    silences = (
        "accept_no_answer",
        "reset_before_reading",
        "do_and_lose_answer",
        "do_and_hang",
        "do_and_500",
        "do_and_502",
        "do_and_503",
        "fail_500",
        "half_body",
        "half_body_not_done",
        "garbage_200",
    )
    hangs = ("accept_no_answer", "do_and_hang")
    lookup_silences = ("lookup_unavailable", "garbage_200", "half_body", "reset_before_reading")

    def __init__(self, sandbox: Sandbox, provider: Provider) -> None:
        self.provider = provider
        self._sandbox = sandbox

    def speak_again(self) -> None:
        disarm(self._sandbox)


Build = Callable[[Sandbox], Harness]

_numbers = itertools.count(1)


def an_operation(harness: Harness, kind: TransactionType, **changes: Any) -> Operation:
    usual = {
        "amount": harness.amount,
        "currency": harness.currency,
        "method": harness.method,
        "begun_at": datetime.now(UTC),
        "send_before": datetime.now(UTC) + timedelta(seconds=600),
        "payer": harness.payer,
        "return_url": harness.return_url,
        "payment_token": harness.token,
    }
    reference = f"PAY-20260101-{secrets.token_hex(6).upper()}-{next(_numbers)}"
    return Operation(type=kind, reference=reference, **usual | changes)


def asked(harness: Harness, operation: Operation) -> tuple[Result, Operation]:
    """The answer, and the operation as look-ups name it from then on."""
    result = harness.provider.ask(operation)
    return result, replace(operation, known_as=result.provider_reference or operation.known_as)


def done(harness: Harness, operation: Operation) -> tuple[Result, Operation]:
    """As `asked`, to the end: whoever has to say yes says it, and a look-up tells it."""
    result, known = asked(harness, operation)
    assert result.outcome is harness.begins(operation.type)
    if result.outcome is Outcome.APPROVED:
        return result, known
    if result.outcome is Outcome.PENDING:
        harness.bank_says(known, "yes")
    else:
        harness.payer_says(known, "yes")
    return found(harness, known, Outcome.APPROVED)


def found(harness: Harness, operation: Operation, outcome: Outcome) -> tuple[Result, Operation]:
    """What a look-up tells, which must be this, and the operation as the next one names it."""
    result = harness.provider.lookup(operation)
    assert result is not None
    assert result.outcome is outcome
    return result, replace(operation, known_as=result.provider_reference or operation.known_as)


def prepared(harness: Harness, kind: TransactionType, **changes: Any) -> Operation:
    """An operation that the provider can do: what it is about was done before, for the same
    payment."""
    if kind not in NEEDS:
        return an_operation(harness, kind, **changes)
    if kind is TransactionType.VOID and harness.voids_waits:
        first = an_operation(harness, TransactionType.CHARGE)
        result, _ = asked(harness, first)
    else:
        first = an_operation(harness, NEEDS[kind])
        result, _ = done(harness, first)
    about = {
        "charge_reference": first.reference,
        "provider_reference": result.provider_reference,
        "charge_amount": first.amount,
    }
    made = an_operation(harness, kind, **about | changes)
    payment, number = first.reference.rpartition("-")[0], made.reference.rpartition("-")[2]
    return replace(made, reference=f"{payment}-{number}")
