"""Fiuu: a page that can be paid twice, and refunds that wait for a bank."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal
from html import unescape
from urllib.parse import parse_qs, urlsplit

import requests

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
from tests.sandbox_server import Sandbox

# What is signed of a notification: its key is made of that.
_SIGNED = ("tranID", "orderid", "status", "domain", "amount", "currency", "paydate", "appcode")
_ACTION = re.compile(r'action="([^"]+/RMS/pay/[^"]*)"')
_INPUT = re.compile(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"')


class Fiuu(Dialect):
    name = "fiuu"
    method = "CARD"
    currency = "MYR"
    holds = True
    # A page is no request: nobody is asked for a charge or a hold.
    verbs = ("capture", "void", "refund")
    nouns = ("transactions", "refunds")
    place = "/fiuu/RMS/{noun}"
    secrets = ()  # the sandbox's keys for Fiuu are words that are everywhere
    twice = True
    untrue = frozenset(LIES)

    def settings(self, sandbox: Sandbox) -> dict[str, str]:
        url = f"{sandbox.url}/fiuu"
        return {
            "FIUU_MERCHANT_ID": "SB_test",
            "FIUU_VERIFY_KEY": "vkey",
            "FIUU_SECRET_KEY": "skey",
            "FIUU_PAY_URL": url,
            "FIUU_API_URL": url,
        }

    def body(self, rng: random.Random) -> Row:
        return {"amount_minor": rng.randint(100, 50_000), "payer": a_payer("6012")}

    def page(self, action: Row) -> str | None:
        """Our page is a form that posts itself to Fiuu's."""
        text = requests.get(action["url"], timeout=TIMEOUT).text
        place = _ACTION.search(text)
        if place is None:
            return None
        form = {name: unescape(value) for name, value in _INPUT.findall(text)}
        opened = requests.post(unescape(place[1]), data=form, timeout=TIMEOUT)
        if not opened.ok:
            return None
        there = urlsplit(unescape(place[1]))
        return f"{there.scheme}://{there.netloc}/fiuu/orders/{form['orderid']}"

    def says(self, page: str, yes: bool) -> bool:
        said = {"word": "yes" if yes else "no", "as": "json"}
        return requests.post(page, data=said, timeout=TIMEOUT).ok

    def bank(self, url: str, books: Row, rng: random.Random, share: float) -> list[str]:
        orders = {row["id"]: row["order"] for row in _paid(books)}
        times = Counter(orders.values())
        for refund in books["refunds"]:
            if refund["status"] != "pending":
                continue
            yes = bank_decides(rng, share)
            if yes is not None:
                # What was paid twice goes back: a no would be tried again an hour later.
                yes = yes or times[orders[refund["TxnID"]]] > 1
                said = {"status": "success" if yes else "rejected"}
                requests.post(f"{url}/fiuu/refunds/{refund['RefID']}", data=said, timeout=TIMEOUT)
        return []

    def call_again(self, url: str, books: Row) -> None:
        """Fiuu's deferred callback, of each order that was paid more than once: the first news of
        the second payment may have been lost, or a lie, and the next look-up be a day later."""
        times = Counter(row["order"] for row in _paid(books))
        for row in _paid(books):
            if times[row["order"]] > 1:
                place = f"{url}/fiuu/transactions/{row['id']}/callback"
                requests.post(place, timeout=TIMEOUT)

    def read(self, books: Mapping[str, list[Row]]) -> list[Paid]:
        given: dict[str, list[Given]] = defaultdict(list)
        for row in books["refunds"]:
            if row["status"] != "rejected":
                done = row["status"] == "success"
                given[row["TxnID"]].append(Given(row["RefID"], _cents(row["Amount"]), done))
        return [
            Paid(
                id=row["id"],
                reference=row["order"],
                amount=_cents(row["amount"]),
                currency=row["currency"],
                captured=_cents(row["captured"]) if row["name"] == "captured" else 0,
                held=row["name"] == "authorized",
                given=tuple(given[row["id"]]),
            )
            for row in _paid(books)
        ]

    def name_of(self, asked: Row, charge: Row) -> str | None:
        if asked["type"] == "REFUND":
            return str(asked["reference"])
        # Neither a capture nor a void has a name of its own there; a page is no request.
        named = asked["type"] in ("CAPTURE", "VOID") and charge["provider_reference"]
        return str(named) if named else None

    def event_key(self, sent: Row) -> str:
        fields = parse_qs(sent["body"], keep_blank_values=True)
        said = [fields.get(name, [""])[0] for name in _SIGNED]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _paid(books: Mapping[str, list[Row]]) -> list[Row]:
    """The tries that paid, or hold, or did."""
    return [row for row in books["transactions"] if row["code"] == "00"]


def _cents(amount: str | None) -> int:
    return int(Decimal(amount or "0") * 100)
