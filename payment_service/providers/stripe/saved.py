"""Customers and saved cards at Stripe: SetupIntents and PaymentMethods. Name and address of a
customer are not needed there, and are not told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import stripe
import structlog

from payment_service import http
from payment_service.domain.vocabulary import SetupStatus
from payment_service.providers import members, storable
from payment_service.providers.contract import NotSent, OutcomeUnknown
from payment_service.providers.provider import Provider
from payment_service.providers.saved_methods import SavedMethod, Setup
from payment_service.providers.stripe import reading
from payment_service.providers.stripe.answers import error_in, only_read, shown, understood
from payment_service.providers.stripe.pages import Pages

log = structlog.get_logger(__name__)

_OVER = {"canceled": SetupStatus.OVER, "succeeded": SetupStatus.DONE}


class SavedAtStripe(Provider):
    """What StripeProvider does beside the verbs."""

    _v1: stripe.V1Services
    _pages: Pages
    _live: bool
    _publishable: str | None

    def make_customer(self, reference: str) -> str:
        params: Any = {"metadata": {"reference": reference}}
        options: Any = {"idempotency_key": reference}
        with self.aside("customer", reference), _asked():
            found = self._v1.customers.create(params, options).to_dict()
            self._expect_ours(found, reference)
            return members.text(found["id"])

    def erase_customer(self, known_as: str) -> None:
        for method in self._unless_gone(known_as):
            self.detach(method.token)
        with self.aside("erase", known_as), _asked():
            try:
                self._v1.customers.delete(known_as)
            except stripe.InvalidRequestError as error:
                if not _is_gone(error):
                    raise

    def begin_setup(self, *, customer: str, reference: str, return_url: str | None) -> Setup:
        """The card is brought by the payer's app, which leads back by itself: `return_url` is for
        it, and is not told to Stripe."""
        options: Any = {"idempotency_key": reference}
        params: Any = {
            "customer": customer,
            "usage": "off_session",
            "payment_method_types": ["card"],
            "metadata": {"reference": reference},
        }
        with self.aside("setup", reference), _asked():
            found = self._v1.setup_intents.create(params, options).to_dict()
            self._expect_ours(found, reference)
            if found["customer"] != customer:
                raise ValueError("another customer")
            return self._setup(found)

    def look_up_setup(self, known_as: str) -> Setup:
        with self.aside("lookup", known_as), only_read():
            return self._setup(self._v1.setup_intents.retrieve(known_as).to_dict())

    def saved_methods(self, customer: str) -> list[SavedMethod]:
        with self.aside("lookup", customer), only_read():
            return [_method(found, customer=customer) for found in self._pages.methods_of(customer)]

    def detach(self, token: str) -> None:
        with self.aside("detach", "a saved method"), _asked():
            try:
                found = self._v1.payment_methods.detach(token).to_dict()
            except stripe.InvalidRequestError as error:
                if _is_gone(error):
                    return
                # It may be that it was detached before: then it has no customer.
                found = self._v1.payment_methods.retrieve(token).to_dict()
            if found["customer"] is not None:
                raise ValueError("it is still its customer's")

    def _unless_gone(self, customer: str) -> list[SavedMethod]:
        with self.aside("lookup", customer), _asked():
            try:
                rows = list(self._pages.methods_of(customer))
            except stripe.InvalidRequestError as error:
                if not _is_gone(error):
                    raise
                return []
            return [_method(found, customer=customer) for found in rows]

    def _expect_ours(self, found: Mapping[str, Any], reference: str) -> None:
        if reading.reference_of(found) != reference or found["livemode"] is not self._live:
            raise ValueError("another reference or mode")

    def _setup(self, found: Mapping[str, Any]) -> Setup:
        status = _OVER.get(found["status"], SetupStatus.OPEN)
        action = None
        if status is SetupStatus.OPEN:
            said = {"type": "sdk", "client_secret": found["client_secret"]}
            key = {"publishable_key": self._publishable} if self._publishable else {}
            action = storable.action(said | key, reference=str(found["id"]))
        return Setup(members.text(found["id"]), status, action)


@contextmanager
def _asked() -> Iterator[None]:
    """What comes of something that moves no money: done, surely not, or not known."""
    try:
        with understood():
            yield
    except http.Unreachable as error:
        raise NotSent(str(error)) from error
    except stripe.StripeError as error:
        told = error_in(error)
        if told is None or error.http_status not in (400, 401, 403, 404):
            raise OutcomeUnknown(shown(error)) from error
        why = told.get("code") or told.get("type")
        log.error("stripe_refuses_us", status=error.http_status, error=why)
        raise NotSent(shown(error), counts=False) from error


def _is_gone(error: stripe.StripeError) -> bool:
    return (error_in(error) or {}).get("code") == "resource_missing"


def _method(found: Mapping[str, Any], *, customer: str) -> SavedMethod:
    """Raises one of `answers.UNREADABLE` for what is not that customer's."""
    if found["customer"] != customer:
        raise ValueError("another customer's")
    card = found["card"]
    return SavedMethod(
        token=members.text(found["id"]),
        kind="CARD",
        brand=members.text(card["brand"]),
        last4=members.text(card["last4"]),
        exp_month=int(card["exp_month"]),
        exp_year=int(card["exp_year"]),
        fingerprint=members.text(card.get("fingerprint")),
    )
