"""What every provider is: six verbs, each fenced, bounded, timed and counted."""

from __future__ import annotations

import abc
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypeVar

import structlog

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers import storable
from payment_service.providers.circuit import Circuit, CircuitOpen
from payment_service.providers.contract import (
    Extra,
    Limits,
    NotSent,
    Operation,
    Outcome,
    OutcomeUnknown,
    Result,
)
from payment_service.telemetry import metrics, traces

log = structlog.get_logger(__name__)

R = TypeVar("R", Result, Result | None)


class Provider(abc.ABC):
    """Base of all providers: fences, bounds, times and counts each call; a subclass asks.

    A subclass sets `name`, `methods` and `capabilities` and writes `_ask` and `_lookup`; where a
    person has the last word, it sets `by_hand` too. What it can't do with each amount and
    currency it says too, and is never asked for.
    """

    name: str
    methods: frozenset[Method]
    capabilities: frozenset[TransactionType | Extra]
    by_hand: frozenset[TransactionType] = frozenset()
    """The requests that nobody is sent: a person, through our API, says how they ended."""
    currencies: frozenset[str] | None = None
    """What it takes; None for all."""
    steps: Mapping[str, int] = MappingProxyType({})
    """Minor units of a currency of which each amount must be a multiple: IQD in whole dinars is
    1000. 1 for a currency that is not here."""
    least: Mapping[str, int] = MappingProxyType({})
    """Minor units of a currency below which it takes no payment. 1 for a currency that is not
    here."""
    full_refunds_only = False
    """It gives all of a payment back, once, and no part of it."""
    cancels_waiting = True
    """A void ends its wait for a payer. Where none does (VOID is none of the `capabilities`, or
    this is False), the wait is over at its own time, if a look-up then finds nothing paid."""
    pages_can_be_paid_twice = False
    """Its page takes money as often as somebody pays there; look-ups tell it (`Result.also`)."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.circuit = Circuit(
            self.name, fail_max=limits.circuit_fail_max, reset_seconds=limits.circuit_reset
        )
        self.places = threading.BoundedSemaphore(limits.concurrency)
        for ending in ("unknown", "not_sent"):
            metrics.PROCESSING_ERRORS.labels(self.name, ending)  # there from the first scrape on

    def takes(self, *, method: str, currency: str) -> bool:
        """Whether the method can be paid with it in that currency."""
        return method in self.methods and (self.currencies is None or currency in self.currencies)

    def waits_are_over_by_themselves(self) -> bool:
        """Whether no void ends a wait for a payer."""
        return not self.cancels_waiting or TransactionType.VOID not in self.capabilities

    def step(self, currency: str) -> int:
        """The smallest amount of the currency that it knows, in minor units."""
        return self.steps.get(currency, 1)

    def page(self, operation: Operation) -> bool:
        """Whether the operation only opens a page (a link, a code) with which nobody can pay before
        we hand it on: then silence is NotSent, and what has no `known_as` was never handed on."""
        return False

    def charge(self, operation: Operation) -> Result:
        """Authorize and capture in one step. All verbs raise OutcomeUnknown and NotSent."""
        return self._guarded(operation, self._ask)

    def authorize(self, operation: Operation) -> Result:
        """Hold funds."""
        return self._guarded(operation, self._ask)

    def capture(self, operation: Operation) -> Result:
        """Take held funds, all or a part; what is not taken is released."""
        return self._guarded(operation, self._ask)

    def void(self, operation: Operation) -> Result:
        """Release the hold."""
        return self._guarded(operation, self._ask)

    def refund(self, operation: Operation) -> Result:
        """Give back captured funds."""
        return self._guarded(operation, self._ask)

    def ask(self, operation: Operation) -> Result:
        """The verb of the operation's type."""
        verbs: dict[TransactionType, Callable[[Operation], Result]] = {
            TransactionType.CHARGE: self.charge,
            TransactionType.AUTHORIZATION: self.authorize,
            TransactionType.CAPTURE: self.capture,
            TransactionType.VOID: self.void,
            TransactionType.REFUND: self.refund,
        }
        return verbs[operation.type](operation)

    def lookup(self, operation: Operation) -> Result | None:
        """What became of the operation, by our reference or the provider's id (`known_as`); None if
        the provider has not seen it.

        Asks only; goes past the circuit, because the truth is wanted most when things are bad.
        Raises OutcomeUnknown if no certain answer came.
        """
        if self._never_handed_on(operation):
            return None
        with self._measured("lookup", operation) as span:
            try:
                found = self._lookup(operation)
                return _noted(span, found and believable(found, operation))
            except NotSent as error:
                raise OutcomeUnknown(f"look-up not possible: {error}") from error

    @contextmanager
    def aside(self, verb: str, reference: str) -> Iterator[None]:
        """Around a call that moves no money: bounded, timed and counted as the verbs are. Raises
        NotSent where no place is free or the circuit is open."""
        with self._in_a_place(), self._measuring(verb, reference, logged=True):
            yield

    def certificate_ends(self) -> datetime | None:
        """When the certificate by which it knows us is over; None if it asks for none. Raises
        OSError and ValueError for a file that can't be read."""
        return None

    def _never_handed_on(self, operation: Operation) -> bool:
        """Whether it is a page that nobody can have: that is known without asking. A provider that
        finds pages by our reference, too, asks."""
        return operation.known_as is None and self.page(operation)

    @abc.abstractmethod
    def _ask(self, operation: Operation) -> Result: ...

    @abc.abstractmethod
    def _lookup(self, operation: Operation) -> Result | None: ...

    def _guarded(self, operation: Operation, ask: Callable[[Operation], Result]) -> Result:
        if operation.type not in self.capabilities:
            return Result(Outcome.DECLINED, failure_code="method_not_supported")
        with self._in_a_place():
            # The last look at the clock before the request: a process that was paused since begin
            # finds here that its time is over.
            if datetime.now(UTC) >= operation.send_before:
                raise NotSent("too late to send", counts=False)
            verb = operation.type.lower()
            with self._measured(verb, operation) as span, self._no_page(operation):
                return _noted(span, believable(ask(operation), operation))

    @contextmanager
    def _in_a_place(self) -> Iterator[None]:
        """Holds one of the places, watched by the circuit. Raises NotSent where none is free or the
        circuit is open."""
        if not self.places.acquire(blocking=False):
            raise NotSent(f"{self.name} is busy: {self.limits.concurrency} requests are open")
        try:
            with self.circuit.watching(OutcomeUnknown, NotSent):
                yield
        except CircuitOpen as error:
            raise NotSent(f"{self.name} is failing", retry_after=error.retry_after) from error
        finally:
            self.places.release()

    @contextmanager
    def _no_page(self, operation: Operation) -> Iterator[None]:
        """A page whose link was lost on its way to us can be paid by nobody."""
        try:
            yield
        except OutcomeUnknown as error:
            if self.page(operation):
                raise NotSent(f"the page is lost, and nobody has it: {error}") from error
            raise

    def _measured(self, verb: str, operation: Operation) -> AbstractContextManager[traces.Span]:
        logged = operation.type not in self.by_hand
        return self._measuring(verb, operation.reference, logged=logged)

    @contextmanager
    def _measuring(self, verb: str, reference: str, *, logged: bool) -> Iterator[traces.Span]:
        """Times, traces and counts one call, and logs it where somebody is asked. The token and the
        description are in no log."""
        started, ending = time.perf_counter(), "answered"
        try:
            with traces.inside(f"{self.name} {verb}") as span:
                span.note("payment.reference", reference)
                yield span
        except (OutcomeUnknown, NotSent) as error:
            ending = "unknown" if isinstance(error, OutcomeUnknown) else "not_sent"
            metrics.PROCESSING_ERRORS.labels(self.name, ending).inc()
            raise
        finally:
            seconds = time.perf_counter() - started
            metrics.PROVIDER_SECONDS.labels(self.name, verb, ending).observe(seconds)
            if logged:
                log.info(
                    "provider_call",
                    provider=self.name,
                    verb=verb,
                    reference=reference,
                    ending=ending,
                    milliseconds=round(seconds * 1000, 1),
                )


def _noted(span: traces.Span, result: R) -> R:
    """The result, and what it says in the trace."""
    if result is not None:
        span.note("payment.outcome", result.outcome)
        if result.failure_code is not None:
            span.note("payment.failure_code", result.failure_code)
    return result


def believable(result: Result, operation: Operation) -> Result:
    """What can be kept of the result, if its amount can be that of what was asked: a part or all of
    it.

    Raises OutcomeUnknown: an answer about another amount says nothing that could be booked, nor
    does one about other payments that names no id for each of them.
    """
    approved = result.amount_approved
    if approved is not None and not 0 < approved <= operation.amount:
        raise OutcomeUnknown(f"{approved} approved of {operation.amount}")
    others = [other.provider_reference for other in result.also]
    paid = {result.outcome, *(other.outcome for other in result.also)} == {Outcome.APPROVED}
    if others and (None in others or not paid):
        raise OutcomeUnknown("it tells of other payments, and not of each that it is paid")
    return replace(
        result,
        provider_reference=storable.text(result.provider_reference),
        authorization_code=storable.text(result.authorization_code),
        failure_code=storable.text(result.failure_code),
        failure_message=storable.text(result.failure_message),
        fee=storable.fee(result.fee),
        next_action=storable.action(result.next_action, reference=operation.reference),
        occurred_at=storable.moment(result.occurred_at),
        also=tuple(believable(other, operation) for other in result.also),
    )
