"""Swish: payers who are called on their phones, and others who are given a token."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

import requests

from tests.campaign.dialects.dialect import (
    TIMEOUT,
    Dialect,
    Given,
    Paid,
    Row,
    a_payer,
    bank_decides,
)
from tests.sandbox_server import Sandbox

ALIAS = "1231181189"
_REFUND_WAITS = "00"  # of a number that ends so the bank thinks about refunds (docs/sandbox.md)


class Swish(Dialect):
    name = "swish"
    method = "SWISH"
    currency = "SEK"
    verbs = ("charge", "void", "refund")
    nouns = ("payments", "refunds")
    place = "/swish/{noun}"
    secrets = ("SWISH_CALLBACK_SECRET",)
    # It signs nothing; a wrong callbackIdentifier is refused all the same.
    untrue = frozenset()

    def __init__(self) -> None:
        self._url = ""

    def settings(self, sandbox: Sandbox) -> dict[str, str]:
        self._url = sandbox.url
        tls = sandbox.authority.tls(ALIAS)
        return {
            "SWISH_API_URL": sandbox.swish_url,
            "SWISH_CERT_PATH": str(tls.cert),
            "SWISH_KEY_PATH": str(tls.key),
            "SWISH_CA_PATH": str(tls.ca),
            "SWISH_PAYEE_ALIAS": ALIAS,
            "SWISH_CALLBACK_SECRET": "of-the-campaign-for-the-callbacks",
        }

    def body(self, rng: random.Random) -> Row:
        """Three of four are called; some of these say yes or no at once."""
        body: Row = {"amount_minor": rng.randint(100, 50_000)}
        payer = a_payer("4670", rng.choice(("11", "22", "45", "45", _REFUND_WAITS)))
        if rng.random() < 0.25:
            del payer["phone"]
        return body | {"payer": payer}

    def page(self, action: Row) -> str | None:
        """Who has the token opens the app; who was called is left to `bank`."""
        token = action.get("token")
        return f"{self._url}/swish/phones/{token}" if token else None

    def bank(self, url: str, books: Row, rng: random.Random, share: float) -> list[str]:
        called = []
        for row in books["payments"]:
            open_still = row["status"] == "CREATED" and row["payerAlias"]
            if not open_still and row["errorCode"] != "DS24":
                continue
            yes = bank_decides(rng, share)
            if yes is None:
                continue
            # One in ten is not known to Swish itself, until it is.
            outcome = "approve" if yes else rng.choice(("decline", "BANKIDCL", "DS24"))
            _end(url, row["id"], outcome)
            called.append(str(row["payeePaymentReference"]))
        for row in books["refunds"]:
            yes = bank_decides(rng, share) if row["status"] == "DEBITED" else None
            if yes is not None:
                _end(url, row["id"], "approve" if yes else "FF10")
        return called

    def read(self, books: Mapping[str, list[Row]]) -> list[Paid]:
        given: dict[str, list[Given]] = defaultdict(list)
        for row in books["refunds"]:
            if row["status"] != "ERROR":
                done = Given(row["payerPaymentReference"], _ore(row), row["status"] == "PAID")
                given[row["originalPaymentReference"]].append(done)
        return [
            Paid(
                # Once it is paid it has another id, by which the merchant's bank names it too.
                id=row["paymentReference"] or row["id"],
                reference=row["payeePaymentReference"],
                amount=_ore(row),
                currency=row["currency"],
                captured=_ore(row) if row["status"] == "PAID" else 0,
                given=tuple(given[row["paymentReference"]]) if row["paymentReference"] else (),
            )
            for row in books["payments"]
        ]

    def name_of(self, asked: Row, charge: Row) -> str | None:
        """Without hyphens; a cancel has the payment's name."""
        row = charge if asked["type"] == "VOID" else asked
        return str(row["reference"]).replace("-", "")

    def event_key(self, sent: Row) -> str:
        said = json.loads(sent["body"])
        return f"{said['id']}:{said['status']}"


def _end(url: str, name: str, outcome: str) -> None:
    requests.post(f"{url}/swish/phones/{name}", json={"outcome": outcome}, timeout=TIMEOUT)


def _ore(row: Row) -> int:
    """Amounts are numbers or texts there."""
    return int(Decimal(str(row["amount"])) * 100)
