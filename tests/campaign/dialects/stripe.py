"""Stripe: cards in euros, with holds, and a page of the bank for some cards."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Mapping

import requests

from payment_service.sandbox.dialects.stripe.events import SECRET
from payment_service.sandbox.faults import LIES
from tests.campaign.dialects.dialect import (
    TIMEOUT,
    Dialect,
    Given,
    Paid,
    Row,
    a_payer,
    bank_decides,
)
from tests.campaign.faulty import MONEY
from tests.sandbox_server import Sandbox

_FINE = "pm_card_visa"
_ACTS = "pm_card_authenticationRequired"
_OTHERS = ("pm_card_pendingRefund", "pm_card_chargeDeclined", "pm_card_chargeDeclinedExpiredCard")


class Stripe(Dialect):
    name = "stripe"
    method = "CARD"
    currency = "EUR"
    holds = True
    verbs = MONEY
    nouns = ("intents", "refunds")
    place = "/stripe/books"
    secrets = ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET")
    untrue = frozenset(LIES)

    def settings(self, sandbox: Sandbox) -> dict[str, str]:
        return {
            "STRIPE_API_KEY": "sk_test_campaignstripe",
            "STRIPE_API_BASE": f"{sandbox.url}/stripe",
            "STRIPE_WEBHOOK_SECRET": SECRET,
        }

    def body(self, rng: random.Random) -> Row:
        token = rng.choices([_FINE, _ACTS, *_OTHERS], [50, 30, 10, 5, 5])[0]
        payer = a_payer("4670")
        return {"amount_minor": rng.randint(100, 50_000), "payment_token": token, "payer": payer}

    def bank(self, url: str, books: Row, rng: random.Random, share: float) -> list[str]:
        for refund in books["refunds"]:
            if refund["status"] == "pending":
                yes = bank_decides(rng, share)
                if yes is not None:
                    said = {"outcome": "succeed" if yes else "fail"}
                    place = f"{url}/stripe/banks/{refund['id']}"
                    requests.post(place, json=said, timeout=TIMEOUT)
        return []

    def read(self, books: Mapping[str, list[Row]]) -> list[Paid]:
        given: dict[str, list[Given]] = defaultdict(list)
        for row in books["refunds"]:
            if row["status"] in ("succeeded", "pending"):
                name = row["metadata"].get("reference", row["id"])
                done = row["status"] == "succeeded"
                given[row["payment_intent"]].append(Given(name, row["amount"], done))
        return [
            Paid(
                id=row["id"],
                reference=row["metadata"].get("reference", row["id"]),
                amount=row["amount"],
                currency=row["currency"].upper(),
                captured=row["amount_received"],
                held=row["status"] == "requires_capture",
                given=tuple(given[row["id"]]),
            )
            for row in books["intents"]
        ]

    def is_untrue(self, sent: Row) -> bool:
        """A charge's event names no refund, so it only makes us look: its amounts are not read."""
        unread = ("other_amount", "other_currency")
        only_looked_up = sent["event"] == "charge.refunded" and sent["fault"] in unread
        return super().is_untrue(sent) and not only_looked_up

    def event_key(self, sent: Row) -> str:
        return str(json.loads(sent["body"])["id"])
