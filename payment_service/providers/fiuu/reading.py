"""What Fiuu's words mean: transactions of an order, statuses, declines, amounts and times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from payment_service.domain import money
from payment_service.domain.vocabulary import TransactionType
from payment_service.providers.contract import Outcome, OutcomeUnknown, Result
from payment_service.providers.fiuu.signatures import Keys, same

THERE = timezone(timedelta(hours=8))
"""All times of Fiuu's are Malaysia's, without saying so; it has no summer time."""

HELD = frozenset({"authorized"})
TAKEN = frozenset({"captured", "settled", "chargeback", "reqcancel", "reqchargeback"})
"""The payer has paid; a chargeback or the wish to cancel came afterwards."""
GONE = frozenset({"cancelled"})
FAILED = frozenset({"failed", "blocked", "cancelled"})
WAITING = frozenset({"pending", "release", "reject/hold"})
UNHEARD = "unknown"

_DECLINES = {
    "51": "insufficient_funds",
    "05": "do_not_honor",
    "57": "do_not_honor",
    "54": "expired_card",
    "N7": "incorrect_cvc",
    "41": "fraud_suspected",
    "43": "fraud_suspected",
    "59": "fraud_suspected",
    "61": "limit_exceeded",
    "65": "limit_exceeded",
}


@dataclass(frozen=True)
class Transaction:
    """One try to pay an order. `amount` is the text that was signed, `name` in lower case; without
    a `number` Fiuu has not heard of the order."""

    number: str
    order: str
    code: str
    name: str
    amount: str
    currency: str
    at: datetime | None
    error: str
    why: str


def transaction(found: dict[str, str]) -> Transaction:
    """An object of a requery or a report."""
    return Transaction(
        number=found.get("TranID", ""),
        order=found.get("OrderID", ""),
        code=found.get("StatCode", ""),
        name=found.get("StatName", "").lower(),
        amount=found.get("Amount", ""),
        currency=found.get("Currency", ""),
        at=moment(found.get("BillingDate", "")),
        error=found.get("ErrorCode", ""),
        why=found.get("ErrorDesc", ""),
    )


@dataclass(frozen=True)
class Order:
    """What a page of ours asks to be paid; `amount` in minor units."""

    number: str
    amount: int
    currency: str


def vouched_for(found: dict[str, str], keys: Keys, order: Order) -> Transaction:
    """A transaction of this order that Fiuu has signed.

    Raises OutcomeUnknown if its VrfKey, order, merchant, amount or currency is another.
    """
    read = transaction(found)
    numbers = [number for number in (read.order, read.number) if number]
    if not any(
        same(found.get("VrfKey"), keys.told(read.amount, number, read.code)) for number in numbers
    ):
        raise OutcomeUnknown("an answer with another signature")
    if found.get("Domain") != keys.merchant:
        raise OutcomeUnknown("an answer about another merchant")
    if read.order != order.number:
        raise OutcomeUnknown("an answer about another order")
    if read.currency not in ("", order.currency):
        raise OutcomeUnknown("an answer in another currency")
    if minor(read.amount, order.currency) != order.amount:
        raise OutcomeUnknown("an answer about another amount")
    return read


def result(read: Transaction, kind: TransactionType, amount: int) -> Result:
    """The transaction as the outcome of a CHARGE or an AUTHORIZATION of that amount.

    Raises OutcomeUnknown for a status that is not named in the table of this package.
    """
    outcome = outcome_of(read, kind)
    declined = outcome is Outcome.DECLINED
    return Result(
        outcome,
        provider_reference=read.number or None,
        amount_approved=amount if outcome is Outcome.APPROVED else None,
        failure_code=decline(read.error) if declined else None,
        failure_message=message(read.error, read.why) if declined else None,
        occurred_at=read.at,
    )


def outcome_of(read: Transaction, kind: TransactionType) -> Outcome:
    """Raises OutcomeUnknown for what is in no table; so is a hold that was taken."""
    approved = HELD if kind is TransactionType.AUTHORIZATION else TAKEN
    if read.code == "00" and read.name in approved:
        return Outcome.APPROVED
    if (read.code == "00" and read.name in GONE) or (read.code == "11" and read.name in FAILED):
        return Outcome.DECLINED
    if read.code == "22" or read.name in WAITING or (read.code, read.name) == ("00", "authorized"):
        return Outcome.PENDING
    raise OutcomeUnknown(f"status {read.code} {read.name}")


def in_order(found: Iterable[Transaction]) -> list[Transaction]:
    """The oldest first; those of one second by their numbers."""
    first = datetime.min.replace(tzinfo=UTC)
    return sorted(found, key=lambda one: (one.at or first, len(one.number), one.number))


def decline(error: str) -> str:
    return _DECLINES.get(error.strip().upper(), "provider_declined")


def message(error: str, why: str) -> str | None:
    return f"{error} {why}".strip() or None


def minor(amount: str, currency: str) -> int | None:
    """None for what is no amount of the currency."""
    try:
        return money.parse_amount(amount, currency)
    except money.BadAmount:
        return None


def moment(text: str) -> datetime | None:
    """Fiuu's `2026-11-21 12:00:00`; None for what is no such time."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=THERE).astimezone(UTC)
    except ValueError:
        return None
