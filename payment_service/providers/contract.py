"""What every provider is: six verbs, frozen values in and out, OutcomeUnknown and NotSent."""

from __future__ import annotations

import abc
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import structlog

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers import storable
from payment_service.providers.circuit import Circuit, CircuitOpen
from payment_service.telemetry import metrics

log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """A provider's answer. A decline is a value: it is the provider's normal no."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    PENDING = "PENDING"
    REQUIRES_ACTION = "REQUIRES_ACTION"


DECLINE_CODES = frozenset(
    {
        "insufficient_funds",
        "do_not_honor",
        "expired_card",
        "incorrect_cvc",
        "fraud_suspected",
        "limit_exceeded",
        "authentication_required",
        "method_not_supported",
        "provider_declined",
        "amount_too_large",
        "not_capturable",
        "not_voidable",
        "refund_exceeds_captured",
        "cancelled_by_payer",
        "invalid_token",
    }
)
"""The standard codes; a provider maps its own to these, what it can't map to provider_declined."""


class Extra(StrEnum):
    """What a provider may be able to do beside the verbs. It says so in its `capabilities`."""

    LISTING = "LISTING"
    """It is a Listing (providers/listing.py) too."""


class SettledBy(StrEnum):
    """Who says how a request ended."""

    PROVIDER = "PROVIDER"
    """The provider, when it is asked or looked up."""

    PERSON = "PERSON"
    """A person, through our API: nobody else sees the money go from hand to hand."""


class OutcomeUnknown(Exception):
    """Asked, no certain answer. It is looked up; never guessed, never blindly asked again."""


class NotSent(Exception):
    """Surely nothing left us, or the provider surely refused to look at it: safe to try again.

    `counts` says whether it speaks against the provider's health.
    """

    def __init__(self, detail: str, *, retry_after: float = 1.0, counts: bool = True) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.counts = counts


@dataclass(frozen=True)
class Operation:
    """One request. `amount` is minor units of `currency`.

    `reference` is ours for this request and the provider's idempotency key; `known_as` is the
    provider's id for it, as soon as an answer named one: for look-ups. `charge_reference` and
    `provider_reference` name the charge or hold that a capture, void or refund is about, in our
    words and in the provider's. Nothing may be sent after `send_before`.
    """

    type: TransactionType
    reference: str
    amount: int
    currency: str
    method: str
    send_before: datetime
    known_as: str | None = None
    charge_reference: str | None = None
    provider_reference: str | None = None
    payment_token: str | None = field(default=None, repr=False)
    description: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Result:
    """One answer. `amount_approved` and `fee` are minor units; None means as asked, unknown."""

    outcome: Outcome
    provider_reference: str | None = None
    amount_approved: int | None = None
    authorization_code: str | None = None
    fee: int | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    next_action: dict[str, Any] | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True)
class Limits:
    """How one provider is asked, as the settings say. Seconds; calls at once and the circuit are
    per process.

    A request may leave within `send_window` of being written down, and then takes at most
    `timeout`; `settling` after that the provider surely shows it, if it ever arrived.
    """

    timeout: float
    concurrency: int
    settling: float
    send_window: float
    circuit_fail_max: int
    circuit_reset: float


class Provider(abc.ABC):
    """Base of all providers: fences, bounds, times and counts each call; a subclass asks.

    A subclass sets `name`, `methods` and `capabilities` and writes `_ask` and `_lookup`; where a
    person has the last word, it sets `settled_by` too. What it can't do with each amount and
    currency it says too, and is never asked for.
    """

    name: str
    methods: frozenset[Method]
    capabilities: frozenset[TransactionType | Extra]
    settled_by: SettledBy = SettledBy.PROVIDER
    currencies: frozenset[str] | None = None
    """What it takes; None for all."""
    steps: Mapping[str, int] = MappingProxyType({})
    """Minor units of a currency of which each amount must be a multiple: IQD in whole dinars is
    1000. 1 for a currency that is not here."""
    full_refunds_only = False
    """It gives all of a payment back, once, and no part of it."""

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

    def step(self, currency: str) -> int:
        """The smallest amount of the currency that it knows, in minor units."""
        return self.steps.get(currency, 1)

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
        with self._measured("lookup", operation):
            try:
                found = self._lookup(operation)
                return found and _believable(found, operation)
            except NotSent as error:
                raise OutcomeUnknown(f"look-up not possible: {error}") from error

    @abc.abstractmethod
    def _ask(self, operation: Operation) -> Result: ...

    @abc.abstractmethod
    def _lookup(self, operation: Operation) -> Result | None: ...

    def _guarded(self, operation: Operation, ask: Callable[[Operation], Result]) -> Result:
        if operation.type not in self.capabilities:
            return Result(Outcome.DECLINED, failure_code="method_not_supported")
        if not self.places.acquire(blocking=False):
            raise NotSent(f"{self.name} is busy: {self.limits.concurrency} requests are open")
        try:
            with self.circuit.watching(OutcomeUnknown, NotSent):
                # The last look at the clock before the request: a process that was paused since
                # begin finds here that its time is over.
                if datetime.now(UTC) >= operation.send_before:
                    raise NotSent("too late to send", counts=False)
                with self._measured(operation.type.lower(), operation):
                    return _believable(ask(operation), operation)
        except CircuitOpen as error:
            raise NotSent(f"{self.name} is failing", retry_after=error.retry_after) from error
        finally:
            self.places.release()

    @contextmanager
    def _measured(self, verb: str, operation: Operation) -> Iterator[None]:
        """Times and counts one call, and logs it where somebody is asked. The token and the
        description are in no log."""
        started, ending = time.perf_counter(), "answered"
        try:
            yield
        except (OutcomeUnknown, NotSent) as error:
            ending = "unknown" if isinstance(error, OutcomeUnknown) else "not_sent"
            metrics.PROCESSING_ERRORS.labels(self.name, ending).inc()
            raise
        finally:
            seconds = time.perf_counter() - started
            metrics.PROVIDER_SECONDS.labels(self.name, verb, ending).observe(seconds)
            if self.settled_by is SettledBy.PROVIDER:
                log.info(
                    "provider_call",
                    provider=self.name,
                    verb=verb,
                    reference=operation.reference,
                    ending=ending,
                    milliseconds=round(seconds * 1000, 1),
                )


def _believable(result: Result, operation: Operation) -> Result:
    """What can be kept of the result, if its amount can be that of what was asked: a part or all of
    it.

    Raises OutcomeUnknown: an answer about another amount says nothing that could be booked.
    """
    approved = result.amount_approved
    if approved is not None and not 0 < approved <= operation.amount:
        raise OutcomeUnknown(f"{approved} approved of {operation.amount}")
    return replace(
        result,
        provider_reference=storable.text(result.provider_reference),
        authorization_code=storable.text(result.authorization_code),
        failure_code=storable.text(result.failure_code),
        failure_message=storable.text(result.failure_message),
        fee=storable.fee(result.fee),
        next_action=storable.action(result.next_action, reference=operation.reference),
        occurred_at=storable.moment(result.occurred_at),
    )
