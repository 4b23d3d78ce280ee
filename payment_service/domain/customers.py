"""A customer: whose payments, saved methods and subscriptions belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

PERSONAL = ("name", "email", "phone")
"""What is personal of a customer, and kept encrypted."""


@dataclass(frozen=True)
class Customer:
    """As its callers see it. `user_id` is the rider's number; what is personal is in no repr."""

    customer_id: int
    user_id: int
    name: str | None = field(repr=False)
    email: str | None = field(repr=False)
    phone: str | None = field(repr=False)
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class ChangeCustomer:
    """The personal fields that are given; None empties one."""

    given: Mapping[str, str | None] = field(repr=False)


def for_lookup(name: str, text: str) -> str:
    """The one form of an e-mail address or a telephone number that two spellings of it have: mail
    goes to the same box however its letters are written, and a number is E.164."""
    return text.strip().casefold() if name == "email" else text.strip()
