"""The books by their keys, and why evidence may have come in after a request was given up."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from functools import cached_property
from typing import Any

from tests.campaign.ledger import Books, Row

NOUN_OF = {
    "CHARGE": "charges",
    "AUTHORIZATION": "charges",
    "CAPTURE": "captures",
    "VOID": "voids",
    "REFUND": "refunds",
}
ASKS = ("CHARGE", "AUTHORIZATION")


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
    def operations(self) -> dict[tuple[str, str], list[Row]]:
        """What the provider did, by noun and reference."""
        found: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for noun, rows in self.books.provider.items():
            for row in rows:
                found[noun, row["reference"]].append(row)
        return found

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
        if reference in self.books.late:
            return "the provider was made to do it late"
        payment = self.payments[transaction["payment_id"]]
        if payment["payment_token"] in self.books.lied_about:
            return "the provider was made to deny it"
        begun, until = transaction["created_at"], transaction["send_before"]
        for start, end in self.books.pauses:
            if begun.timestamp() <= end and until.timestamp() >= start:
                return "its sender was stopped while it sent"
        for gone, back in self.books.restarts:
            if begun.timestamp() <= back and self._done_within(transaction, gone, back + 2):
                return "it waited at the provider's door until that was up again"
        return None

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
