"""Asks the providers that can list what they did since a moment, and holds that against our rows:
after a restore they know what the backup does not."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError

from payment_service.domain import money
from payment_service.domain.callers import WORKER
from payment_service.domain.states import IllegalEdge, Verdict
from payment_service.domain.vocabulary import ASKS, TransactionStatus, TransactionType
from payment_service.extensions import db
from payment_service.providers.contract import Extra, Outcome, OutcomeUnknown
from payment_service.providers.listing import Listed, Listing
from payment_service.services import holds
from payment_service.services.moves import refund_steps, resolution, rows, steps, transitions
from payment_service.services.moves.operations import NobodyHasIt, new_transaction, providers
from payment_service.services.moves.rows import PAYMENT, TRANSACTION, PaymentRow, TransactionRow
from payment_service.services.moves.transitions import News

AT_ONCE = 500
"""Operations that are held against our rows in one query."""

CANT_LIST = "it can't list"

CAUSE = "restore"
"""Why a request was begun which its provider has already."""

_LOOK_UP = text("""
    UPDATE transactions SET due_at = now() WHERE payment_id = :payment_id AND number = :number
""")


_NUMBER = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)
"""Of a request, at the end of its reference: no payment has more than a few."""


@dataclass
class RelistingReport:
    """What the providers said. `unknown` are operations that our rows don't tell of, each with its
    provider and why; `unasked` are providers that did not say, and why not."""

    listed: int = 0
    adopted: int = 0
    differing: int = 0
    unknown: list[tuple[str, Listed, str]] = field(default_factory=list)
    unasked: dict[str, str] = field(default_factory=dict)


def ask(*, since: datetime) -> RelistingReport:
    """Asks all that can list. What our rows know with another outcome is due for a look-up
    afterwards; a request of a payment of ours that the rows lack is begun there and looked up."""
    found = RelistingReport()
    for provider in providers().all():
        if Extra.LISTING not in provider.capabilities or not isinstance(provider, Listing):
            found.unasked[provider.name] = CANT_LIST
            continue
        missing: list[tuple[int, int, Listed]] = []
        try:
            listed = provider.since(since)
            while some := list(islice(listed, AT_ONCE)):
                found.listed += len(some)
                missing += _compare(provider.name, some, found)
        except OutcomeUnknown as error:
            found.unasked[provider.name] = str(error)
        # In the order in which they were asked: what was captured is refunded afterwards.
        for payment_id, number, one in sorted(missing, key=lambda item: item[:2]):
            if why := _adopt(provider.name, payment_id, number, one):
                found.unknown.append((provider.name, one, why))
            else:
                found.adopted += 1
    return found


def _compare(
    provider: str, listed: list[Listed], found: RelistingReport
) -> Iterator[tuple[int, int, Listed]]:
    """Notes what is unknown, has looked up what differs, and gives the requests that our payments
    lack, with their numbers."""
    with db.engine.begin() as connection:
        payments, transactions = _known(connection, listed)
        for one in listed:
            ours = transactions.get(one.reference)
            payment_reference, _, number = one.reference.rpartition("-")
            if ours is not None:
                if _differs(ours, one):
                    found.differing += 1
                    connection.execute(_LOOK_UP, ours)
                elif _is_double(ours, one):
                    found.unknown.append((provider, one, "done twice under one reference"))
            elif (payment_id := payments.get(payment_reference)) and _NUMBER.fullmatch(number):
                yield payment_id, int(number), one
            elif one.outcome is not Outcome.DECLINED:
                found.unknown.append((provider, one, "no payment of ours has this reference"))


def _known(
    connection: Connection, listed: Iterable[Listed]
) -> tuple[dict[str, int], dict[str, TransactionRow]]:
    """Our payments, and all their requests, by reference."""
    references = {one.reference.rpartition("-")[0] for one in listed}
    whose = select(PAYMENT.c.reference, PAYMENT.c.payment_id).where(
        PAYMENT.c.reference.in_(references)
    )
    payments = {row.reference: row.payment_id for row in connection.execute(whose)}
    asked = select(TRANSACTION).where(TRANSACTION.c.payment_id.in_(payments.values()))
    found = connection.execute(asked).mappings()
    return payments, {row["reference"]: rows.transaction_row(row) for row in found}


def _differs(ours: TransactionRow, one: Listed) -> bool:
    """Whether a look-up may bring news. What is open is looked up anyway."""
    if one.outcome is Outcome.APPROVED:
        return bool(ours["status"] == TransactionStatus.FAILED)
    refund = ours["type"] == TransactionType.REFUND and one.outcome is Outcome.DECLINED
    return refund and bool(ours["status"] == TransactionStatus.SUCCESS)


def _is_double(ours: TransactionRow, one: Listed) -> bool:
    done = ours["status"] == TransactionStatus.SUCCESS and one.outcome is Outcome.APPROVED
    return done and ours["provider_reference"] != one.provider_reference


def _adopt(provider: str, payment_id: int, number: int, one: Listed) -> str | None:
    """Begins the request as it was begun once, under its number, and looks up how it ended. Why
    not, if it doesn't fit where the payment stands."""
    try:
        with db.engine.begin() as connection:
            payment = rows.read_payment(connection, payment_id, lock=True)
            if payment is None or payment["currency"] != one.currency:
                return "its payment is in another currency"
            _begin(connection, payment, provider, number, one)
    except (IllegalEdge, NobodyHasIt, IntegrityError, psycopg2.IntegrityError):
        return f"it does not fit its payment, {payment_id}"
    resolution.resolve(payment_id=payment_id, number=number)
    return None


def _begin(
    connection: Connection, payment: PaymentRow, provider: str, number: int, one: Listed
) -> None:
    request: Any = {"payment": payment, "amount": one.amount, "caller": WORKER, "number": number}
    earlier = rows.read_transactions(connection, payment["payment_id"])
    if one.type is TransactionType.REFUND:
        refund_steps.begin_refund(
            connection, **request, earlier=earlier, reason=CAUSE, key=None, cause=CAUSE
        )
    elif one.type not in ASKS:
        holds.begin_on_hold(
            connection, **request, earlier=earlier, kind=one.type, key=None, cause=CAUSE
        )
    else:
        edge = transitions.edge_of(payment, one.type, Verdict.ASKED)
        if one.amount != payment["amount"]:
            raise IllegalEdge("another amount")
        moment = datetime.now(UTC)
        transaction = new_transaction(**request, kind=one.type, provider=provider,
                                      moment=moment, cause=CAUSE)  # fmt: skip
        steps.begin(
            connection,
            payment=payment,
            transaction=transaction,
            earlier=earlier,
            news=[News(edge.event, WORKER, CAUSE)],
            caller=WORKER,
            key=None,
            changes={"status": edge.to, "provider": provider},
        )


COLUMNS = (
    *("provider", "type", "reference", "amount", "currency", "outcome", "charge_reference"),
    *("provider_reference", "occurred_at", "why"),
)


def write(found: RelistingReport, folder: Path) -> Path | None:
    """What our rows don't tell of, as a CSV file that only we may read; None for nothing."""
    if not found.unknown:
        return None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"unknown-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.csv"
    path.touch(mode=0o600, exist_ok=False)
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        lines.writeheader()
        for provider, one, why in found.unknown:
            known = {name: getattr(one, name, None) for name in COLUMNS}
            amount = money.format_amount(one.amount, one.currency)
            lines.writerow(known | {"provider": provider, "amount": amount, "why": why})
    return path
