"""What banks do to charges of the sandbox's Stripe: open disputes, and end them."""

from __future__ import annotations

from typing import Any

from payment_service.sandbox.dialects.stripe import objects
from payment_service.sandbox.dialects.stripe.books import (
    BALANCE,
    CHARGES,
    DISPUTES,
    INTENTS,
    StripeBooks,
)
from payment_service.sandbox.dialects.stripe.refusing import bad
from payment_service.sandbox.memory import Row

FEE = 1500
"""What each chargeback costs, in the currency in which it is booked; it never comes back."""

STEPS = ("chargeback", "review", "win", "lose", "reinstate", "withdraw", "close")


class DisputeBooks(StripeBooks):
    """The books, for the banks."""

    def open(self, asked: dict[str, Any]) -> Row:
        """A dispute of {"payment_intent", "amount"?, "reason"?, "inquiry"?}; booked in the currency
        "settled_in" at "rate" (of its minor units for one), where these are named."""
        intent = self.find(INTENTS, asked.get("payment_intent"), "payment_intent")
        charge = self.find(CHARGES, intent["latest_charge"], "charge")
        amount = int(asked.get("amount") or charge["amount_captured"])
        status = "warning_needs_response" if asked.get("inquiry") else "needs_response"
        reason = str(asked.get("reason") or "fraudulent")
        dispute = objects.dispute(charge, amount, reason, status)
        dispute["metadata"] = {
            "settled_in": str(asked.get("settled_in") or charge["currency"]),
            "rate": str(asked.get("rate") or 1),
        }
        self._happened("charge.dispute.created", dispute)
        if status == "needs_response":
            return self._moved(dispute, -1)
        return self._kept(dispute)

    def step(self, dispute_id: str, what: str) -> Row:
        """One of STEPS. Raises StripeSays."""
        dispute = self.find(DISPUTES, dispute_id, "dispute")
        if what == "chargeback":
            return self._moved({**dispute, "status": "needs_response"}, -1)
        if what == "withdraw":
            return self._moved(dispute, -1)
        if what == "reinstate":
            return self._moved(dispute, 1)
        if what == "win":
            dispute = self._closed(dispute, "won")
            return self._moved(dispute, 1)
        if what == "lose":
            return self._kept(self._closed(dispute, "lost"))
        if what == "close":
            return self._kept(self._closed(dispute, "warning_closed"))
        if what == "review":
            inquiry = dispute["status"].startswith("warning")
            dispute = {**dispute, "status": "warning_under_review" if inquiry else "under_review"}
            self._happened("charge.dispute.updated", dispute)
            return self._kept(dispute)
        raise bad(f"Send one of {', '.join(STEPS)}.", param="step")

    def _closed(self, dispute: Row, status: str) -> Row:
        dispute = {**dispute, "status": status, "is_charge_refundable": False}
        self._happened("charge.dispute.closed", dispute)
        return dispute

    def _moved(self, dispute: Row, sign: int) -> Row:
        """The money is taken, or given back."""
        settled = dispute["metadata"]
        amount = sign * round(dispute["amount"] * float(settled["rate"]))
        in_currency = {**dispute, "currency": settled["settled_in"]}
        booked = objects.booking(in_currency, amount, FEE if sign < 0 else 0, "adjustment")
        lines = [*dispute["balance_transactions"], booked]
        dispute = {**dispute, "balance_transactions": lines, "is_charge_refundable": False}
        word = "withdrawn" if sign < 0 else "reinstated"
        self._happened(f"charge.dispute.funds_{word}", dispute)
        return self._kept(dispute, (BALANCE, booked))

    def _kept(self, dispute: Row, *more: tuple[str, Row]) -> Row:
        charge = {**self.find(CHARGES, dispute["charge"], "charge"), "disputed": True}
        return self.put([(DISPUTES, dispute), (CHARGES, charge), *more], dispute, None)
