"""Fiuu's daily report, psq-daily: what was paid, and tried, since a moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from payment_service.domain import money
from payment_service.domain.vocabulary import TransactionType
from payment_service.providers.contract import Outcome, OutcomeUnknown
from payment_service.providers.fiuu.reading import (
    HELD,
    THERE,
    Transaction,
    minor,
    outcome_of,
    transaction,
)
from payment_service.providers.fiuu.refunds import Post
from payment_service.providers.fiuu.signatures import Keys
from payment_service.providers.fiuu.wire import rows
from payment_service.providers.listing import Listed

AT_ONCE = timedelta(days=1)
"""For which a report is asked: it is a daily one."""


def since(moment: datetime, keys: Keys, post: Post) -> Iterator[Listed]:
    """Charges and holds as they stand. All transactions that paid an order are told, or else its
    last one; captures, voids and refunds have no lines of their own."""
    orders: dict[str, dict[str, Transaction]] = {}
    begin = moment.replace(microsecond=0)
    while begin <= datetime.now(UTC):
        for one in _reported(begin, keys, post):
            orders.setdefault(one.order, {})[one.number] = one  # the later line wins
        begin += AT_ONCE
    for tries in orders.values():
        told = [_listed(one) for one in tries.values() if one.number and one.order]
        yield from [one for one in told if one.outcome is Outcome.APPROVED] or told[-1:]


def _reported(begin: datetime, keys: Keys, post: Post) -> list[Transaction]:
    there = f"{begin.astimezone(THERE):%Y-%m-%d %H:%M:%S}"
    fields = {
        "merchantID": keys.merchant,
        "rdate": there,
        "rduration": str(round(AT_ONCE.total_seconds())),
        "version": "4.0",
        "response_type": "json",
        "additional_fields": "all",
        "skey": keys.report(there),
    }
    return [transaction(row) for row in rows(post("report", fields))]


def _listed(one: Transaction) -> Listed:
    """Raises OutcomeUnknown for a line without an amount or a time."""
    amount = minor(one.amount, one.currency) if one.currency in money.EXPONENTS else None
    if amount is None or one.at is None:
        raise OutcomeUnknown("unreadable report")
    kind = TransactionType.AUTHORIZATION if one.name in HELD else TransactionType.CHARGE
    try:
        outcome = outcome_of(one, kind)
    except OutcomeUnknown:
        outcome = Outcome.PENDING  # a line that nobody understands keeps nobody from the others
    return Listed(
        type=kind,
        reference=one.order,
        amount=amount,
        currency=one.currency,
        outcome=outcome,
        provider_reference=one.number,
        occurred_at=one.at,
    )
