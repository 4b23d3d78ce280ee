"""First Iraqi Bank: payments in its app, given back whole and once."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping

import requests

from tests.campaign.dialects.dialect import TIMEOUT, Dialect, Given, Paid, Row, bank_decides
from tests.campaign.dialects.zaincash import DINAR
from tests.sandbox_server import Sandbox

_PAID = ("PAID", "REFUND_REQUESTED", "REFUNDED")
_PATHS = {"CHARGE": "", "VOID": "/cancel", "REFUND": "/refund"}


class Fib(Dialect):
    name = "fib"
    method = "CARD"
    currency = "IQD"
    step = DINAR
    verbs = ("charge", "void", "refund")
    nouns = ("payments",)
    place = "/fib/books"
    secrets = ("FIB_CLIENT_SECRET",)
    denies_silently = True
    # It signs nothing, and the address of its callbacks, which has a MAC, is true in each of them.
    untrue = frozenset()
    forged = frozenset()

    def settings(self, sandbox: Sandbox) -> dict[str, str]:
        return {
            "FIB_URL": f"{sandbox.url}/fib",
            "FIB_CLIENT_ID": "campaign",
            "FIB_CLIENT_SECRET": "of-the-campaign-at-the-bank",
        }

    def body(self, rng: random.Random) -> Row:
        return {"amount_minor": rng.randint(1, 50_000) * DINAR}

    def page(self, action: Row) -> str | None:
        """The payer's app opens it."""
        return str(action["url"])

    def bank(self, url: str, books: Row, rng: random.Random, share: float) -> list[str]:
        for row in books["payments"]:
            if row["status"] == "REFUND_REQUESTED":
                yes = bank_decides(rng, share)
                if yes is not None:
                    said = {"outcome": "approve" if yes else "decline"}
                    requests.post(f"{url}/fib/app/{row['id']}", json=said, timeout=TIMEOUT)
        return []

    def read(self, books: Mapping[str, list[Row]]) -> list[Paid]:
        return [_paid(row) for row in books["payments"]]

    def name_of(self, asked: Row, charge: Row) -> str | None:
        """Its cancels and refunds have no names of their own."""
        return f"{charge['reference']}{_PATHS[asked['type']]}"

    def event_key(self, sent: Row) -> str:
        said = json.loads(sent["body"])
        return f"{said['id']}:{said['status']}"


def _paid(row: Row) -> Paid:
    amount = row["amount"] * DINAR
    given: tuple[Given, ...] = ()
    if row["status"] in ("REFUND_REQUESTED", "REFUNDED"):
        given = (Given(f"{row['reference']}/refund", amount, row["status"] == "REFUNDED"),)
    return Paid(
        id=row["id"],
        reference=row["reference"],
        amount=amount,
        currency=row["currency"],
        captured=amount if row["status"] in _PAID else 0,
        given=given,
    )
