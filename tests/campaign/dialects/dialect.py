"""What the campaign must know of a provider: how it is charged, who acts there, what its books say.

Nothing here asks `payment_service.providers`: it would judge itself.
"""

from __future__ import annotations

import random
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import requests

from tests.patience import PATIENCE
from tests.sandbox_server import Sandbox

Row = dict[str, Any]

NAME = "Campaignpayer"
PHONE = "555"
"""In each payer's name and address, and behind the country and network in each number: they are
looked for in logs, events and metrics at the end."""
FORGED = frozenset({"bad_signature", "other_key"})
"""Lies (sandbox/faults.py) that nobody who looks at the signature believes."""
TIMEOUT = PATIENCE
"""Seconds; the pages and books of the sandbox are never slow on purpose."""


@dataclass(frozen=True)
class Given:
    """Money that went back (`done`) or is about to, in minor units. `reference` is what the
    provider's books call our request."""

    reference: str
    amount: int
    done: bool


@dataclass(frozen=True)
class Paid:
    """One payment in a provider's books, in minor units, also one of which nothing was taken.

    `id` is the provider's, `reference` what its books call our charge. `held`: it may still be
    captured.
    """

    id: str
    reference: str
    amount: int
    currency: str
    captured: int = 0
    held: bool = False
    given: tuple[Given, ...] = ()

    @property
    def returned(self) -> int:
        return sum(given.amount for given in self.given if given.done)

    @property
    def pending(self) -> int:
        return sum(given.amount for given in self.given if not given.done)


class Dialect(ABC):
    """One provider that the sandbox speaks."""

    name: ClassVar[str]
    method: ClassVar[str]
    currency: ClassVar[str]
    holds: ClassVar[bool] = False
    step: ClassVar[int] = 1
    """Minor units; amounts are multiples of it."""
    verbs: ClassVar[tuple[str, ...]]
    """Of faulty.MONEY: what it is asked by a request that a fault can meet."""
    nouns: ClassVar[tuple[str, ...]]
    """What its books are of."""
    place: ClassVar[str]
    """Where they are at the sandbox, `{noun}` filled in."""
    secrets: ClassVar[tuple[str, ...]]
    """Those of its settings that nobody may see again."""
    by_hand: ClassVar[bool] = False
    """A person gives money back; its books know nothing of that."""
    denies_silently: ClassVar[bool] = False
    """Where it does not give back what it took a refund of, it never says so: a person has to."""
    twice: ClassVar[bool] = False
    """Whether its page can be paid twice."""
    untrue: ClassVar[frozenset[str]]
    """The lies (sandbox/faults.py) that make a webhook of its untrue, so that it must not be
    applied. Not of those who sign nothing: they are believed nothing in any case."""
    forged: ClassVar[frozenset[str]] = FORGED
    """Of the lies those that must be refused."""

    @property
    def route(self) -> str:
        """For PROVIDER_ROUTES."""
        return f"{self.method}:{self.currency}={self.name}"

    @abstractmethod
    def settings(self, sandbox: Sandbox) -> dict[str, str]:
        """By which the service finds it."""

    @abstractmethod
    def body(self, rng: random.Random) -> Row:
        """How to pay: `amount_minor`, and what else a charge by it may name."""

    def charge(self, rng: random.Random) -> Row:
        """What a charge is asked with, but for the order."""
        return {"method": self.method, "currency": self.currency, **self.body(rng)}

    # -- the payer, and the bank

    def page(self, action: Row) -> str | None:
        """Opens the payer's page by the next_action, as a browser does; where the payer's word
        goes. None if there is no page. Raises RequestException."""
        link = requests.get(action["url"], allow_redirects=False, timeout=TIMEOUT)
        return link.headers.get("Location")

    def says(self, page: str, yes: bool) -> bool:
        """The payer's word; False where it is too late. Raises RequestException."""
        said = {"outcome": "approve" if yes else "decline"}
        return requests.post(page, json=said, timeout=TIMEOUT).ok

    def bank(self, url: str, books: Row, rng: random.Random, share: float) -> list[str]:
        """Of what waits for a bank, or for a payer who was called, that share is decided; all of it
        with a yes where the share is 1, because a no is tried again an hour later. The references
        of charges that were decided. `url` is the sandbox's."""
        return []

    def call_again(self, url: str, books: Row) -> None:
        """Tells its news once more, if it does that by itself later on. Raises
        RequestException."""
        return None

    # -- books

    def open_books(self, url: str) -> Row:
        """All that it has, by noun. Raises RequestException."""
        found: Row = {}
        for path in {self.place.format(noun=noun) for noun in self.nouns}:
            found |= requests.get(f"{url}{path}", timeout=PATIENCE).json()
        return {noun: found[noun] for noun in self.nouns}

    @abstractmethod
    def read(self, books: Mapping[str, list[Row]]) -> list[Paid]:
        """Each payment in its books."""

    # -- what went over the wire

    def name_of(self, asked: Row, charge: Row) -> str | None:
        """What the list of requests, and its books, call our transaction `asked`, which is about
        the transaction `charge`. None: nobody is asked for it."""
        return str(asked["reference"])

    def is_untrue(self, sent: Row) -> bool:
        """Whether a webhook that was sent lies in what it is believed for."""
        return sent["fault"] in self.untrue

    @abstractmethod
    def event_key(self, sent: Row) -> str:
        """The key under which a webhook that was sent must be kept."""


def bank_decides(rng: random.Random, share: float) -> bool | None:
    """Yes, no, or not yet."""
    if rng.random() >= share:
        return None
    return share == 1.0 or rng.random() < 0.8


def a_payer(prefix: str, end: str = "") -> Row:
    """Nobody, but found wherever it turns up."""
    word = secrets.token_hex(4)
    phone = f"+{prefix}{PHONE}{secrets.randbelow(10**4):04}{end}"
    return {"name": f"{NAME} {word}", "email": f"{NAME.lower()}.{word}@mail.example",
            "phone": phone}  # fmt: skip
