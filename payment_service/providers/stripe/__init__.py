"""Stripe: PaymentIntents by card, through the official SDK. Amounts are minor units there too, but
for a few currencies that are left out.

What each answer is, and from where that is known: (o) Stripe's documents, (c) read in client code
that is in use or seen on the wire from it, (?) from memory.

| answer | is | |
|---|---|---|
| an intent succeeded, or requires_capture where a hold was asked for | APPROVED | (o) |
| requires_action; requires_payment_method before any try | REQUIRES_ACTION | (o) |
| requires_payment_method after a try, canceled; 402 | DECLINED | (o) |
| processing; a refund pending or requires_action | PENDING | (o) |
| a refund succeeded; failed, canceled | APPROVED; DECLINED | (o) |
| 400 payment_intent_unexpected_state | as the intent stands | (o) |
| 400 about an amount, a currency, a method; 404 of a payment method or customer | DECLINED | (?) |
| other 400, 401, 403: nothing was done, and it is our fault | NotSent, an error in the log | (o) |
| 429: rate limit, lock_timeout | NotSent | (o) |
| no connection | NotSent | (c) |
| 409, 400 idempotency_error, 404 of an id that we stored, 5xx, no or half an answer, what is no\
 answer of Stripe's | OutcomeUnknown | (o) |

A key replays its first answer, 5xx too, so the same request again would tell nothing, and may be
the first to arrive. What became of a charge is read from the intent by its id, else from the list
of the intents of that time; never by search, which lags.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import stripe
import structlog

from payment_service import http
from payment_service.config import Settings, kinds
from payment_service.domain import money
from payment_service.domain.disputes import TheirDispute
from payment_service.domain.vocabulary import ASKS, Method, TransactionType
from payment_service.providers.contract import (
    Extra,
    Limits,
    NotSent,
    Operation,
    Outcome,
    OutcomeUnknown,
    Result,
)
from payment_service.providers.listing import Listed
from payment_service.providers.stripe import asking, declines, disputes, events, listing, reading
from payment_service.providers.stripe.answers import error_in, only_read, shown, understood
from payment_service.providers.stripe.pages import Pages
from payment_service.providers.stripe.saved import SavedAtStripe
from payment_service.providers.stripe.transport import client, is_live
from payment_service.providers.webhooks import Incoming, Notices, Receipt

log = structlog.get_logger(__name__)

MARGIN = timedelta(seconds=30)
"""By which Stripe's clock and ours may differ."""

_NEVER_TAKEN = {"IQD", "LYD", "ISK", "MGA", "UGX"}
"""Not Stripe's, the first two; the others it counts in another unit than ISO 4217 (o)."""


class StripeProvider(SavedAtStripe):
    """Our reference is its idempotency key, and stands in the metadata of what was asked for."""

    name = "stripe"
    methods = frozenset({Method.CARD})
    capabilities = frozenset(TransactionType) | frozenset(Extra)
    currencies = frozenset(money.EXPONENTS) - _NEVER_TAKEN
    # Thousandths whose last digit is 0 (?).
    steps: Mapping[str, int] = MappingProxyType(
        {"BHD": 10, "JOD": 10, "KWD": 10, "OMR": 10, "TND": 10}
    )
    event_types = events.TYPES
    webhook_receipt = Receipt()

    def __init__(
        self,
        api_key: str,
        limits: Limits,
        *,
        base: str,
        version: str,
        webhook_secrets: Iterable[str] = (),
        publishable_key: str | None = None,
    ) -> None:
        super().__init__(limits)
        self._v1 = client(api_key, base=base, version=version, timeout=self._seconds).v1
        self._pages = Pages(self._v1)
        self._live = is_live(api_key)
        self._version = version
        self._secrets = tuple(filter(None, webhook_secrets))
        self._publishable = publishable_key

    def receive(self, incoming: Incoming) -> Notices:
        """Reads an event, verified by any of the secrets, and of our API version and mode."""
        return events.read(
            incoming,
            secrets=self._secrets,
            version=self._version,
            live=self._live,
            key=self._publishable,
        )

    def since(self, moment: datetime) -> Iterator[Listed]:
        with only_read():
            yield from listing.since(self._pages, moment, live=self._live)

    def dispute(self, provider_dispute_id: str) -> TheirDispute | None:
        with only_read():
            return disputes.read(self._v1.disputes.retrieve(provider_dispute_id).to_dict())

    def disputes_since(self, moment: datetime) -> Iterator[TheirDispute]:
        created = {"created": {"gte": int(moment.timestamp())}}
        with only_read():
            for found in self._pages.disputes(created, None):
                yield disputes.read(found)

    def _ask(self, operation: Operation) -> Result:
        try:
            with understood():
                if operation.type is TransactionType.REFUND:
                    return self._refund(operation)
                found = self._sent(operation)
                if result := self._of_intent(found, operation):
                    return result
                raise ValueError("the intent is as it was before")
        except http.Unreachable as error:
            raise NotSent(str(error)) from error
        except stripe.StripeError as error:
            return self._refused(error, operation)

    def _lookup(self, operation: Operation) -> Result | None:
        with only_read():
            if operation.type is TransactionType.REFUND:
                return self._find_refund(operation)
            found = self._find_intent(operation)
            return self._of_intent(found, operation) if found else None

    def _sent(self, operation: Operation) -> dict[str, Any]:
        """The intent, after it was made, captured or canceled."""
        options: Any = {"idempotency_key": operation.reference}
        intents, expand = self._v1.payment_intents, list(asking.EXPAND)
        if operation.type in ASKS:
            params: Any = {**asking.intent_for(operation), "expand": expand}
            return intents.create(params, options).to_dict()
        intent = asking.intent_id(operation)
        if operation.type is TransactionType.VOID:
            return intents.cancel(intent, options=options).to_dict()
        taken: Any = {
            "amount_to_capture": operation.amount,
            "metadata": {reading.CAPTURE: operation.reference},
            "expand": expand,
        }
        return intents.capture(intent, taken, options).to_dict()

    def _refund(self, operation: Operation) -> Result:
        params: Any = {
            "payment_intent": asking.intent_id(operation),
            "amount": operation.amount,
            "metadata": {"reference": operation.reference},
        }
        options: Any = {"idempotency_key": operation.reference}
        return self._of_refund(self._v1.refunds.create(params, options).to_dict(), operation)

    def _find_intent(self, operation: Operation) -> dict[str, Any] | None:
        """The intent of the operation, by its id, else from the list of that time."""
        if operation.type in ASKS:
            intent = operation.known_as or self._listed_as(operation)
        else:
            intent = operation.provider_reference
        if intent is None:
            return None
        expand: Any = {"expand": list(asking.EXPAND)}
        return self._v1.payment_intents.retrieve(intent, expand).to_dict()

    def _listed_as(self, operation: Operation) -> str | None:
        """The id of the intent that our reference made. Stripe's list knows no metadata, so all of
        the time in which it can have arrived are looked through."""
        longest = timedelta(seconds=self.limits.timeout + self.limits.settling)
        window = {
            "gte": int((operation.begun_at - MARGIN).timestamp()),
            "lte": int((operation.send_before + longest + MARGIN).timestamp()) + 1,
        }
        asked: dict[str, Any] = {"created": window}
        if operation.payer and operation.payer.customer:
            asked["customer"] = operation.payer.customer
        for one in self._pages.intents(asked):
            if reading.reference_of(one) == operation.reference:
                return str(one["id"])
        return None

    def _find_refund(self, operation: Operation) -> Result | None:
        if operation.known_as:
            found = self._v1.refunds.retrieve(operation.known_as).to_dict()
            return self._of_refund(found, operation)
        if operation.provider_reference is None:
            return None
        for one in self._pages.refunds({"payment_intent": operation.provider_reference}):
            if reading.reference_of(one) == operation.reference:
                return self._of_refund(one, operation)
        return None

    def _of_intent(self, found: dict[str, Any], operation: Operation) -> Result | None:
        return reading.of_intent(found, operation, live=self._live, key=self._publishable)

    def _of_refund(self, found: dict[str, Any], operation: Operation) -> Result:
        reading.expect_ours(found, operation, live=self._live)
        if found["payment_intent"] != operation.provider_reference:
            raise OutcomeUnknown("unreadable answer: a refund of another intent")
        return reading.refund(found)

    def _refused(self, error: stripe.StripeError, operation: Operation) -> Result:
        """What an answer that is no 2xx says of the operation."""
        status, told = error.http_status, error_in(error)
        if told is None or status == 409 or told.get("type") == "idempotency_error":
            raise OutcomeUnknown(shown(error)) from error
        if isinstance(error, stripe.CardError):  # each 402
            return self._no_of_card(told, operation)
        if told.get("code") == "payment_intent_unexpected_state":
            return self._as_it_stands(operation)
        refund = operation.type is TransactionType.REFUND
        if status in (400, 404) and (code := declines.refusal_of(told, refund=refund)):
            message = declines.message_of(told)
            return Result(Outcome.DECLINED, failure_code=code, failure_message=message)
        if status not in (400, 401, 403):
            raise OutcomeUnknown(shown(error)) from error
        # Nothing was done, and it is us who must mend something: the key, the account, the request.
        # What is called `code` is masked in the log: it may be one that lets somebody in.
        why = told.get("code") or told.get("type")
        log.error("stripe_refuses_us", reference=operation.reference, status=status, error=why)
        raise NotSent(shown(error), counts=status != 400) from error

    def _no_of_card(self, told: Mapping[str, Any], operation: Operation) -> Result:
        intent = told.get("payment_intent")
        if not isinstance(intent, Mapping):
            return reading.declined(told)
        made = operation.type in ASKS
        if made and reading.reference_of(intent) != operation.reference:
            raise OutcomeUnknown("declined for another reference")
        return reading.declined(told, provider_reference=str(intent.get("id")))

    def _as_it_stands(self, operation: Operation) -> Result:
        """The intent was not in the state that the request needs; what it is in may be what was
        wanted."""
        if found := self._lookup(operation):
            return found
        code = "not_voidable" if operation.type is TransactionType.VOID else "not_capturable"
        return Result(Outcome.DECLINED, operation.provider_reference, failure_code=code)

    def _seconds(self) -> float:
        return self.limits.timeout


def stripe_of(settings: Settings, limits: Limits) -> StripeProvider | None:
    """What the settings say of Stripe; None if it is off."""
    if not settings.stripe_api_key:
        return None
    return StripeProvider(
        settings.stripe_api_key,
        limits,
        base=settings.stripe_api_base,
        version=settings.stripe_api_version,
        webhook_secrets=kinds.each(settings.stripe_webhook_secret or ""),
        publishable_key=settings.stripe_publishable_key,
    )
