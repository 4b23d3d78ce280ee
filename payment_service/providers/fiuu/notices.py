"""Fiuu's notifications (at once) and callbacks (later, with nbcb=1): verified and read."""

from __future__ import annotations

import hashlib
import json
from urllib.parse import parse_qsl

from payment_service.domain import money
from payment_service.providers.contract import Outcome, Result
from payment_service.providers.fiuu.reading import minor, moment
from payment_service.providers.fiuu.signatures import NOTICED, Keys, same
from payment_service.providers.webhooks import (
    Incoming,
    Notice,
    Notices,
    RefusedFor,
    Trust,
    WebhookRefused,
)

PAID = "00"
STATUSES = frozenset({PAID, "11", "22"})
"""Of a try to pay: it paid (or holds), it failed, it waits."""

MOST_FIELDS = 100
"""Fiuu sends about fifteen."""


def read(incoming: Incoming, keys: Keys) -> Notices:
    """Raises WebhookRefused if it is not Fiuu's."""
    fields = _fields(incoming)
    if not fields.get("skey"):
        raise WebhookRefused(RefusedFor.NO_SIGNATURE)
    if not same(fields["skey"], keys.notice(fields)):
        raise WebhookRefused(RefusedFor.BAD_SIGNATURE)
    return Notices(Trust.SIGNED, (_notice(fields, keys),))


def _fields(incoming: Incoming) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            incoming.body.decode(),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise WebhookRefused(RefusedFor.UNREADABLE) from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise WebhookRefused(RefusedFor.UNREADABLE)  # which of the two would be the signed one?
    return fields


def _notice(fields: dict[str, str], keys: Keys) -> Notice:
    """What is signed. Only that a try paid is taken as it is: another try on the same page may have
    paid where this one failed or waits, so then the order is looked up. That tells why, too: the
    reasons here are not signed."""
    status, currency = fields.get("status", ""), fields.get("currency", "")
    amount = minor(fields.get("amount", ""), currency) if currency in money.EXPONENTS else None
    if not fields.get("orderid") or amount is None:
        raise WebhookRefused(RefusedFor.UNREADABLE)
    number = fields.get("tranID") or None
    said = Result(
        Outcome.APPROVED,
        provider_reference=number,
        amount_approved=amount,
        authorization_code=fields.get("appcode") or None,
        occurred_at=moment(fields.get("paydate", "")),
    )
    return Notice(
        event_key=_key(fields),
        event_type=status,
        reference=fields["orderid"],
        known_as=number,  # another than we know: the page was paid twice, and a look-up tells
        result=said if status == PAID else None,
        amount=amount,
        currency=currency,
        mismatch=None if fields.get("domain") == keys.merchant else "domain",
        taken=status in STATUSES,
        only_charges=True,  # nothing that is signed says whether it was held or taken at once
    )


def _key(fields: dict[str, str]) -> str:
    """Of what is signed, and of nothing else: whoever has one true notification, as the payer's
    browser has, can change the rest of it as he likes, and must not make it a new one. So a
    callback has the key of the notification that it repeats."""
    said = [fields.get(name, "") for name in NOTICED]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
