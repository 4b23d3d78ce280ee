"""What a request does to the customers of the sandbox's Stripe, and to what they have saved."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

from payment_service.sandbox.dialects.stripe import asking, cards, objects
from payment_service.sandbox.dialects.stripe.books import CARDS, METHODS, StripeBooks
from payment_service.sandbox.dialects.stripe.refusing import bad, missing
from payment_service.sandbox.faults import Whim
from payment_service.sandbox.memory import Memory, Row

CUSTOMERS, SETUPS = "stripe.customers", "stripe.setups"

_CUSTOMER = {"description", "email", "expand", "metadata", "name", "phone"}
_SETUP = {"customer", "expand", "metadata", "payment_method_types", "usage"}


class SavedBooks(StripeBooks):
    """As StripeBooks."""

    def customer(self, form: dict[str, Any], whim: Whim) -> Row:
        """A new one."""
        asking.expect_known(form, _CUSTOMER)
        said = {name: form.get(name) for name in ("description", "email", "name", "phone")}
        row = _customer(said, asking.metadata(form))
        return self.put([(CUSTOMERS, row)], row, "customer.created")

    def erase(self, customer_id: str) -> Row:
        """It is gone, and what it had saved is nobody's."""
        self._living(customer_id, "id", 404)
        gone = {"id": customer_id, "object": "customer", "deleted": True}
        for method in self._memory.rows(METHODS):
            if method["customer"] == customer_id:
                self.detach(method["id"])
        return self.put([(CUSTOMERS, gone | {"created": objects.now()})], gone, "customer.deleted")

    def setup(self, form: dict[str, Any], whim: Whim) -> Row:
        """A SetupIntent, for which the payer's app brings the card."""
        asking.expect_known(form, _SETUP)
        self._living(form.get("customer"), "customer", 400)
        row = _setup(form, asking.metadata(form))
        return self.put([(SETUPS, row)], row, "setup_intent.created")

    def bring(self, setup_id: str, card: str) -> Row:
        """The payer's app brings a test card."""
        setup = self.find(SETUPS, setup_id, "intent")
        if card not in cards.KNOWN:
            raise missing("PaymentMethod", card, "payment_method", 400)
        if setup["status"] != "requires_payment_method":
            raise bad(f"This SetupIntent's status is {setup['status']}.")
        method = _method(setup["customer"], card)
        self._happened("payment_method.attached", method)
        done = {**setup, "status": "succeeded", "payment_method": method["id"]}
        behaves = {"id": method["id"], "behaves": card}
        rows = [(METHODS, method), (CARDS, behaves), (SETUPS, done)]
        return self.put(rows, done, "setup_intent.succeeded")

    def detach(self, method_id: str) -> Row:
        """For good."""
        method = self.find(METHODS, method_id, "payment_method")
        if method["customer"] is None:
            raise bad("The payment method you provided is not attached to a customer.")
        gone = {**method, "customer": None}
        before = {"customer": method["customer"]}
        return self.put([(METHODS, gone)], gone, "payment_method.detached", before)

    def renew(self, method_id: str, year: int) -> Row:
        """The card's network tells of a new card."""
        method = self.find(METHODS, method_id, "payment_method")
        before = {"card": {"exp_year": method["card"]["exp_year"]}}
        new = {**method, "card": {**method["card"], "exp_year": year}}
        return self.put([(METHODS, new)], new, "payment_method.automatically_updated", before)

    def _living(self, customer_id: Any, param: str, status: int) -> Row:
        row = self.find(CUSTOMERS, customer_id, param, status)
        if row.get("deleted"):
            raise missing("customer", str(customer_id), param, status)
        return row


def _customer(said: dict[str, Any], metadata: dict[str, str]) -> Row:
    return {
        "id": objects.new_id("cus"),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": objects.now(),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "discount": None,
        "invoice_prefix": token_hex(4).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": metadata,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
        **said,
    }


def _setup(form: dict[str, Any], metadata: dict[str, str]) -> Row:
    setup_id = objects.new_id("seti")
    return {
        "id": setup_id,
        "object": "setup_intent",
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": f"{setup_id}_secret_{token_hex(12)}",
        "created": objects.now(),
        "customer": form["customer"],
        "description": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": metadata,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {},
        "payment_method_types": form.get("payment_method_types") or ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": form.get("usage", "off_session"),
    }


def _method(customer: str, card: str) -> Row:
    nobody = {"address": None, "email": None, "name": None, "phone": None, "tax_id": None}
    return {
        "id": objects.new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": nobody,
        "card": {
            "brand": "mastercard" if "mastercard" in card else "visa",
            "checks": None,
            "country": "US",
            "exp_month": 12,
            "exp_year": 2034,
            "fingerprint": token_hex(8),
            "funding": "credit",
            "generated_from": None,
            "last4": "4444" if "mastercard" in card else "4242",
            "networks": None,
            "three_d_secure_usage": None,
            "wallet": None,
        },
        "created": objects.now(),
        "customer": customer,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }


def expect_customer(memory: Memory, customer_id: Any) -> None:
    """Raises StripeSays for a list of somebody who is not there."""
    row = memory.get(CUSTOMERS, str(customer_id))
    if row is not None and row.get("deleted"):
        raise missing("customer", str(customer_id), "customer", 400)
