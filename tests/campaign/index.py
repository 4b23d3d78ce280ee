"""The books by their keys, and why evidence may have come in after a request was given up."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import datetime
from functools import cached_property
from typing import Any

from tests.campaign import timing
from tests.campaign.dialects import DIALECTS
from tests.campaign.dialects.dialect import Paid
from tests.campaign.ledger import Books, Row

NOUN_OF = {
    "CHARGE": "charges",
    "AUTHORIZATION": "charges",
    "CAPTURE": "captures",
    "VOID": "voids",
    "REFUND": "refunds",
}
ASKS = ("CHARGE", "AUTHORIZATION")
PAID_TWICE = "paid_twice"
"""The cause of a charge beside the payment, and of the refund that gives it back."""
DEAD = ("FAILED", "CANCELLED", "EXPIRED")
LATEST_SECONDS = 2.0
"""How long the news of a payer's word may be on its way between two processes that must wait."""


class Index:
    """Look-ups in one set of books."""

    def __init__(self, books: Books) -> None:
        self.books = books

    @cached_property
    def payments(self) -> dict[int, Row]:
        return {row["payment_id"]: row for row in self.books.payments}

    @cached_property
    def transactions(self) -> dict[tuple[int, int], Row]:
        return {(row["payment_id"], row["number"]): row for row in self.books.transactions}

    @cached_property
    def asked_of(self) -> dict[int, list[Row]]:
        """A payment's transactions, oldest first."""
        found: dict[int, list[Row]] = defaultdict(list)
        for row in self.books.transactions:
            found[row["payment_id"]].append(row)
        return found

    @cached_property
    def held(self) -> Counter[int]:
        """What is held of a payment for refunds that wait for a decision; no provider knows it."""
        found: Counter[int] = Counter()
        for row in self.books.refund_requests:
            if row["state"] == "OPEN":
                found[row["payment_id"]] += row["amount"]
        return found

    @cached_property
    def operations(self) -> dict[tuple[str, str], list[Row]]:
        """What the provider did, by noun and reference."""
        found: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for noun, rows in self.books.provider.items():
            for row in rows:
                found[noun, row["reference"]].append(row)
        return found

    def _tokens(self, payment_id: int) -> set[str]:
        """With which the provider was asked to charge the payment: our rows keep them encrypted."""
        return {
            charge["payment_token"]
            for asked in self.asked_of[payment_id]
            if asked["type"] in ASKS
            for charge in self.operations["charges", asked["reference"]]
        }

    @cached_property
    def paid(self) -> dict[str, list[Paid]]:
        """The payments in the books of the other providers, by the provider's name."""
        return {name: DIALECTS[name].read(rows) for name, rows in self.books.others.items()}

    @cached_property
    def takings(self) -> dict[tuple[str, str], Row]:
        """Our charges and holds by the provider's name and its id."""
        return {
            (row["provider"], row["provider_reference"]): row
            for row in self.books.transactions
            if row["type"] in ASKS and row["provider_reference"] is not None
        }

    @cached_property
    def kept_elsewhere(self) -> set[int]:
        """Payments of which another provider keeps or holds money, by its books. Where a person
        gives back, only ours know of that."""
        found = set()
        for name, entries in self.paid.items():
            for one in entries:
                row = self.takings.get((name, one.id))
                if row is None:
                    continue
                by_hand = DIALECTS[name].by_hand
                payment = self.payments[row["payment_id"]]
                returned = payment["refunded"] if by_hand else one.returned
                if one.held or one.captured > returned:
                    found.add(row["payment_id"])
        return found

    def name_of(self, transaction: Row) -> str | None:
        """What the list of requests calls it; None where nobody is asked."""
        if transaction["provider"] not in DIALECTS:
            return str(transaction["reference"])
        return DIALECTS[transaction["provider"]].name_of(transaction, self._about(transaction))

    def _about(self, transaction: Row) -> Row:
        """The charge or hold that it is, or is about; of a refund of what was paid twice, that."""
        asked = [row for row in self.asked_of[transaction["payment_id"]] if row["type"] in ASKS]
        if transaction["type"] in ASKS:
            return transaction
        if transaction["type"] == "REFUND" and transaction["cause"] == PAID_TWICE:
            return next(row for row in asked if row["reference"] == transaction["description"])
        own = [row for row in asked if row["cause"] != PAID_TWICE]
        before = [row for row in own if row["number"] < transaction["number"]]
        return before[-1] if before else own[-1]

    @cached_property
    def died_at(self) -> dict[int, float]:
        """When each payment that was ever FAILED, CANCELLED or EXPIRED first was."""
        found: dict[int, float] = {}
        for row in self.books.events:
            if row["to_status"] in DEAD:
                found.setdefault(row["payment_id"], row["occurred_at"].timestamp())
        return found

    @cached_property
    def _denied(self) -> set[str]:
        """What a provider was made to deny in look-ups."""
        faulty = [one for one in self.books.requests if one["fault"] == "lookup_not_found"]
        return {_plain(one["reference"]) for one in faulty if one["reference"]}

    @cached_property
    def keys(self) -> dict[tuple[str, str], Row]:
        return {(row["operation"], row["key"]): row for row in self.books.keys}

    @cached_property
    def refunds(self) -> dict[int, Row]:
        return {row["refund_id"]: row for row in self.books.refunds}

    @cached_property
    def replays(self) -> dict[str, tuple[int, str]]:
        return {key: (status, body) for key, status, body in self.books.replays}

    @cached_property
    def bodies(self) -> dict[int, list[dict[str, Any]]]:
        """The data of a payment's events, in order."""
        found: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in self.books.events:
            found[row["payment_id"]].append(json.loads(row["body"])["data"])
        return found

    def operation(self, transaction: Row) -> list[Row]:
        """What the provider did for one of our requests."""
        return self.operations.get((NOUN_OF[transaction["type"]], transaction["reference"]), [])

    def charge(self, payment_id: int) -> Row | None:
        """The provider's charge or hold that stands for the payment."""
        for row in self.asked_of[payment_id]:
            if row["type"] in ASKS and row["status"] == "SUCCESS":
                return next(iter(self.operation(row)), None)
        return None

    def cause(self, transaction: Row) -> str | None:
        """Why the provider may have shown money after it was, by all rules, surely not received.
        None: there is no reason, and so we gave up wrongly."""
        reference = transaction["reference"]
        if reference in self.books.never_sent:
            return None  # the sender had slept through its time and should have known
        # It has two names where the provider has one of its own for it.
        names = {_plain(name) for name in (reference, self.name_of(transaction)) if name}
        if names & {_plain(name) for name in self.books.late}:
            return "the provider was made to do it late"
        if self._tokens(transaction["payment_id"]) & self.books.lied_about or names & self._denied:
            return "the provider was made to deny it"
        if transaction["type"] in ASKS and self._was_paid_late(transaction):
            return "its payer had a word when the time for that was over"
        begun, until = transaction["created_at"], transaction["send_before"]
        for start, end in self.books.pauses:
            if begun.timestamp() <= end and until.timestamp() >= start:
                return "its sender was stopped while it sent"
        for gone, back in self.books.restarts:
            if begun.timestamp() <= back and self._done_within(transaction, gone, back + 2):
                return "it waited at the provider's door until that was up again"
        return None

    def _was_paid_late(self, transaction: Row) -> bool:
        said = self.books.said_at.get(_plain(transaction["reference"]))
        died = self.died_at.get(transaction["payment_id"])
        slack = timing.TIMEOUT_SECONDS + LATEST_SECONDS
        return said is not None and died is not None and said > died - slack

    def _done_within(self, transaction: Row, start: float, end: float) -> bool:
        times = [datetime.fromisoformat(o["created_at"]) for o in self.operation(transaction)]
        return all(start <= moment.timestamp() <= end for moment in times)

    def contradicted(self, transaction: Row) -> bool:
        """Whether the time line says that evidence overturned what was said about it."""
        payment_id, reference = transaction["payment_id"], transaction["reference"]
        told = any(
            data.get("contradicted") and data.get("transaction_reference") == reference
            for data in self.bodies[payment_id]
        )
        return told and payment_id in self.books.timelines


def _plain(reference: str) -> str:
    """As Swish has our references, which has no hyphens."""
    return reference.replace("-", "")
