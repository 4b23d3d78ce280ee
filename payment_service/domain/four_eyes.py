"""Refunds that one operator asks for and another one decides on: the words, and what is refused."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Any

from payment_service.domain import events, jsontext, money
from payment_service.domain.cards import contains_card_number
from payment_service.domain.operators import Refused


class RequestState(StrEnum):
    """What became of a request for a refund."""

    OPEN = "OPEN"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    WITHDRAWN = "WITHDRAWN"  # by who had asked
    LAPSED = "LAPSED"  # nobody decided in time, or its room was gone


LAPSES_AFTER = timedelta(days=7)
"""As long as most holds of providers last; what nobody decided on by then is asked for anew."""

NOT_BY_WHOM_ONE_MADE = timedelta(hours=24)
"""For so long no refund is approved between two operators of whom one made the other, or whom one
person made both: or one person would make the second one just for it."""

LONGEST_TEXT = 500
"""Characters of a reason, and of what is said to a decision."""

_SHOWN = (
    *("request_id", "payment_id", "amount", "currency", "reason"),
    *("asked_by", "asked_at", "expires_at"),
)


class PaymentChanged(Refused):
    """The payment is not as it was when the form was drawn. Nothing was done."""


class SecondPersonNeeded(Refused):
    """Beyond what one operator may give back alone."""


class BadReason(Refused):
    """There is none, or it is too long."""


class OneIsOpen(Refused):
    """A refund of the payment waits for a decision already."""


class UnknownRequest(Refused):
    """There is no such request."""


class Decided(Refused):
    """The request is open no more."""


class ShownOtherwise(Refused):
    """The request, or its payment, is not as it was shown. Nothing was done."""


class NotByThisOne(Refused):
    """Another operator has to decide, or to withdraw."""


def shown(request: Mapping[str, Any], version: int) -> str:
    """What stands for the request as an operator sees it, beside its payment of that version. Who
    decides sends it back: another one is refused."""
    said: dict[str, Any] = {name: request[name] for name in _SHOWN}
    for name in ("asked_at", "expires_at"):
        said[name] = events.iso(said[name].astimezone(UTC))
    return hashlib.sha256(jsontext.canonical({**said, "version": version})).hexdigest()


def is_over(limit: Decimal, spent: int, amount: int, currency: str) -> bool:
    """Whether `spent` and `amount`, in minor units, are more than `limit`, in major ones."""
    return money.to_decimal(spent + amount, currency) > limit


def day_begins(moment: datetime, zone: tzinfo) -> datetime:
    """When the day of that moment began in the zone."""
    local = moment.astimezone(zone)
    return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC)


def clean_reason(text: str | None, *, needed: bool = True) -> str | None:
    """Without blanks around it; None for nothing. Raises BadReason."""
    plain = (text or "").strip()
    if needed and not plain:
        raise BadReason("Say why: whoever decides reads it.")
    if len(plain) > LONGEST_TEXT:
        raise BadReason(f"A reason has at most {LONGEST_TEXT} characters.")
    if any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\r\t" for char in plain):
        raise BadReason("A reason has no characters that can't be shown.")
    if contains_card_number(plain):
        raise BadReason("There is a card number in it; name the last four digits only.")
    return plain or None
