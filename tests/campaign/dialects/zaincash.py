"""ZainCash: a wallet in whole dinars, whose refunds a person gives."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Mapping

from payment_service.sandbox.dialects.zaincash.signing import KEY
from tests.campaign.dialects.dialect import FORGED, Dialect, Paid, Row, a_payer
from tests.sandbox_server import Sandbox

DINAR = 1000
"""Of a dinar the minor unit is a thousandth."""


class ZainCash(Dialect):
    name = "zaincash"
    method = "WALLET"
    currency = "IQD"
    step = DINAR
    verbs = ("charge",)
    nouns = ("transactions",)
    place = "/zaincash/books"
    secrets = ("ZAINCASH_CLIENT_SECRET", "ZAINCASH_API_KEY")
    by_hand = True
    # It names no amount and no currency.
    untrue = FORGED | {"other_merchant"}

    def settings(self, sandbox: Sandbox) -> dict[str, str]:
        return {
            "ZAINCASH_URL": f"{sandbox.url}/zaincash",
            "ZAINCASH_CLIENT_ID": "campaign",
            "ZAINCASH_CLIENT_SECRET": "of-the-campaign-at-the-wallet",
            "ZAINCASH_API_KEY": KEY,
            "ZAINCASH_SERVICE_TYPE": "Rides",
        }

    def body(self, rng: random.Random) -> Row:
        return {"amount_minor": rng.randint(250, 50_000) * DINAR, "payer": a_payer("96477")}

    def read(self, books: Mapping[str, list[Row]]) -> list[Paid]:
        return [
            Paid(
                id=row["id"],
                reference=row["reference"],
                amount=row["value"] * DINAR,
                currency=row["currency"],
                captured=row["value"] * DINAR if row["status"] == "SUCCESS" else 0,
            )
            for row in books["transactions"]
        ]

    def name_of(self, asked: Row, charge: Row) -> str | None:
        return str(asked["reference"]) if asked["type"] == "CHARGE" else None

    def event_key(self, sent: Row) -> str:
        claims = json.loads(sent["body"])["webhook_token"].split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(claims + "=="))["eventId"])
