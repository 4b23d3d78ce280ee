"""The form with which a payer's browser opens Fiuu's page: written here, without asking anybody."""

from __future__ import annotations

import re

from payment_service.domain import money
from payment_service.domain.vocabulary import TransactionType
from payment_service.providers.contract import Operation
from payment_service.providers.fiuu.signatures import Keys

_DELIMITERS = re.compile(r"[|\r\n\u2028\u2029\x00]+")
"""Fiuu's own, which no text may have."""

LONGEST = {"bill_name": 128, "bill_email": 128, "bill_mobile": 32, "bill_desc": 1000}
"""Characters (?); longer texts are cut."""


def form_of(
    operation: Operation, keys: Keys, *, extended: bool, hold: tuple[str, str], callback: str | None
) -> dict[str, str]:
    """All fields, the payer's as far as they are known. The same for the same operation: a look-up
    may have to tell the page once more."""
    amount = money.format_amount(operation.amount, operation.currency)
    payer = operation.payer
    fields = {
        "amount": amount,
        "orderid": operation.reference,
        "bill_name": payer and payer.name,
        "bill_email": payer and payer.email,
        "bill_mobile": payer and payer.phone,
        "bill_desc": operation.description or operation.reference,
        "country": "MY",
        "currency": operation.currency,
        "vcode": keys.page(amount, operation.reference, operation.currency if extended else None),
        "channel": operation.channel,
        "returnurl": operation.return_url,
        "callbackurl": callback,
    }
    if operation.type is TransactionType.AUTHORIZATION:
        fields[hold[0]] = hold[1]
    return {name: _clean(name, value) for name, value in fields.items() if value}


def _clean(name: str, value: str) -> str:
    return _DELIMITERS.sub(" ", value)[: LONGEST.get(name)]
