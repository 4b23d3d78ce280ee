"""Asks the provider about what is stuck: by our reference or its own id, never by sending again."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import structlog
from flask import Flask, current_app
from sqlalchemy import case, func, text, update

from payment_service.config import settings
from payment_service.domain.callers import WORKER, Caller
from payment_service.domain.states import Verdict
from payment_service.domain.vocabulary import ASKS, Found, TransactionStatus
from payment_service.extensions import db
from payment_service.http import hearing
from payment_service.providers.contract import Operation, Outcome, OutcomeUnknown, Result
from payment_service.providers.provider import Provider
from payment_service.services.moves import (
    evidence,
    lookups,
    outcomes,
    pages,
    paid_twice,
    rows,
    unsure,
)
from payment_service.services.moves.operations import operation_of, providers
from payment_service.services.moves.rows import TRANSACTION, PaymentRow, TransactionRow
from payment_service.services.moves.transitions import OPEN
from payment_service.telemetry import traces

log = structlog.get_logger(__name__)

BATCH = 16
"""Look-ups at once, each on a thread of its own."""

_LEASE = """
    UPDATE transactions SET due_at = :until, leased_until = :until
    WHERE (payment_id, number) IN (
        SELECT payment_id, number FROM transactions
        WHERE due_at <= :now AND (leased_until IS NULL OR leased_until <= :now)
            AND (type = 'REFUND' OR cause IS DISTINCT FROM 'paid_twice')
            AND (CAST(:provider AS text) IS NULL OR provider = :provider)
        ORDER BY due_at LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING payment_id, number
"""


def run_once(provider: str | None = None) -> dict[str, int]:
    """Looks up what is due, at this provider only if it is named: a silent one delays no other.

    Any number of workers may run it at once. `more` says that more may be due.
    """
    now = datetime.now(UTC)
    # A look-up is a read that is tried twice; a lease outlives both, and not by much, because
    # what a killed worker had leased waits for its end.
    registry = providers()
    timeout = registry.limits(provider).timeout if provider else registry.longest_timeout()
    lease = timedelta(seconds=2 * timeout + 5)
    with db.engine.begin() as connection:
        due = connection.execute(
            text(_LEASE),
            {"now": now, "until": now + lease, "batch": BATCH, "provider": provider},
        ).all()
    if not due:
        return {"looked_up": 0, "moved": 0, "more": 0}
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    with ThreadPoolExecutor(BATCH) as pool:
        moved = sum(pool.map(lambda row: _resolve_in(app, row.payment_id, row.number), due))
    return {"looked_up": len(due), "moved": moved, "more": len(due) // BATCH}


def _resolve_in(app: Flask, payment_id: int, number: int) -> bool:
    """One look-up on a thread. What goes wrong there is logged; the lease's end brings it back."""
    try:
        with app.app_context():
            return resolve(payment_id=payment_id, number=number)
    except Exception:
        log.exception("look_up_failed", payment_id=payment_id, number=number)
        return False


def resolve(*, payment_id: int, number: int, caller: Caller = WORKER, anyway: bool = False) -> bool:
    """Looks up one request and takes in what the provider says; True if that moved the payment.

    Holds no connection while it asks. A request that is settled for good is asked about only
    `anyway`.
    """
    with db.engine.connect() as connection:
        payment = rows.read_payment(connection, payment_id)
        if payment is None:
            raise LookupError(f"no payment {payment_id}")
        transactions = rows.read_transactions(connection, payment_id)
        transaction = rows.find_transaction(transactions, number)
        # No other request says anything of the payer.
        asks = transaction["type"] in ASKS
        said = pages.read(connection, payment_id).said if asks else None
    provider = providers().find(transaction["provider"])
    settled = transaction["status"] not in OPEN and transaction["due_at"] is None
    other_charge = asks and paid_twice.is_beside(transaction)
    if (settled and not anyway) or other_charge:
        return False
    if provider is None:
        return _ask_again(transaction, "provider_off", caller, heard=False)
    earlier = [row for row in transactions if row["number"] != number]
    with traces.going_on("look-up", transaction["traceparent"]) as span:
        span.note("payment.reference", transaction["reference"])
        span.note("payment.id", payment_id)
        operation = operation_of(payment, transaction, earlier, said)
        return _resolve(payment, transaction, provider, operation, caller)


def _resolve(
    payment: PaymentRow,
    transaction: TransactionRow,
    provider: Provider,
    operation: Operation,
    caller: Caller,
) -> bool:
    payment_id, number = transaction["payment_id"], transaction["number"]
    asks = transaction["type"] in ASKS
    ends_at = _end_of_wait(payment, transaction, provider)
    over = ends_at is not None and ends_at <= datetime.now(UTC)
    with hearing.listening() as answer:
        result = _looked_up(provider, operation)
    lookups.note(transaction, answer, result or Found.NOT_FOUND)
    if result is Found.UNKNOWN:
        no_later_than = None if over else ends_at
        return _ask_again(transaction, "unknown", caller, no_later_than=no_later_than, heard=False)
    waits = transaction["status"] == TransactionStatus.REQUIRES_ACTION
    if result is None and not waits:
        return _not_found(transaction, provider, caller)
    verdict = outcomes.verdict_of(result, transaction) if result else None
    if over and (result is None or result.outcome is Outcome.REQUIRES_ACTION):
        verdict, result = Verdict.EXPIRED, result or Result(Outcome.DECLINED)
    if result is None or verdict is None:
        if result:
            unsure.keep(payment_id=payment_id, number=number, result=result, caller=caller)
        no_later_than = None if over else ends_at
        found = result is not None
        return _ask_again(transaction, "pending", caller, no_later_than=no_later_than, found=found)
    about: dict[str, Any] = {
        "payment_id": payment_id,
        "number": number,
        "result": result,
        "caller": caller,
    }
    with db.engine.begin() as connection:
        moved = evidence.accept_locked(connection, verdict=verdict, **about) is not None
        if result.also:
            # With it or not at all: once it has moved, nobody looks it up again.
            paid_twice.keep(connection, **about)
    if not moved and asks:
        known_as = transaction["provider_reference"]
        paid_twice.look_again(
            payment_id=payment_id, number=number, known_as=known_as, result=result
        )
    return moved or _ask_again(transaction, "no_news", caller, found=True)


def _looked_up(provider: Provider, operation: Operation) -> Result | Literal[Found.UNKNOWN] | None:
    try:
        return provider.lookup(operation)
    except OutcomeUnknown:
        return Found.UNKNOWN


def _end_of_wait(
    payment: PaymentRow, transaction: TransactionRow, provider: Provider
) -> datetime | None:
    """When the payer's time is over, where no void says so to the provider: a look-up after that
    which finds nothing paid ends the wait."""
    waits = transaction["status"] == TransactionStatus.REQUIRES_ACTION
    return payment["expires_at"] if waits and provider.waits_are_over_by_themselves() else None


def _not_found(transaction: TransactionRow, provider: Provider, caller: Caller) -> bool:
    """The provider has not seen the request. That is believed only once nothing can be on its way
    any more, and then only when it says so twice; and never if it had named its id for it."""
    if transaction["status"] not in OPEN:
        return _ask_again(transaction, "still_not_found", caller)
    now = datetime.now(UTC)
    certain_after = transaction["send_before"] + timedelta(
        seconds=provider.limits.timeout + provider.limits.settling
    )
    if now < certain_after:
        return _ask_again(transaction, "not_found_yet", caller, no_later_than=certain_after)
    first = transaction["not_found_at"]
    gap = timedelta(seconds=settings().resolution_first_lookup_seconds)
    if first is None or now - first < gap:
        no_later_than = (first or now) + gap
        return _ask_again(
            transaction, "not_found_once", caller, no_later_than=no_later_than, seen_missing=now
        )
    moved = evidence.accept(
        payment_id=transaction["payment_id"],
        number=transaction["number"],
        verdict=Verdict.NOT_RECEIVED,
        result=Result(
            Outcome.DECLINED, failure_message="the provider has surely not received the request"
        ),
        caller=caller,
    )
    return moved or _ask_again(transaction, "not_found_but_known_there", caller)


def _ask_again(
    transaction: TransactionRow,
    why: str,
    caller: Caller,
    *,
    no_later_than: datetime | None = None,
    seen_missing: datetime | None = None,
    heard: bool = True,
    found: bool = False,
) -> bool:
    """Not sure yet: a later look-up, ever more seldom, for ever. Always False: nothing moved. What
    had ended and is looked up all the same, is so until the provider was `heard`, and for a day
    where nothing was paid, or it may be paid again. What was `found` is not missing any more. A
    look-up that a caller's retry asks for puts off none of the worker's: retries may come in any
    number."""
    now = datetime.now(UTC)
    due: datetime | None = now + _pause(transaction["lookups"])
    if no_later_than is not None and due is not None:
        due = max(min(due, no_later_than), now + timedelta(milliseconds=100))
    given_up = transaction["occurred_at"] or transaction["created_at"]
    done = transaction["status"] == TransactionStatus.SUCCESS
    over = done or now - given_up > evidence.WATCH
    if transaction["status"] not in OPEN and heard and over:
        # Nothing more is to be heard, but of a page that may be paid again; or nothing was paid,
        # and looked up long enough.
        due = evidence.next_look_at_paid(transaction)
    soonest = func.least(TRANSACTION.c.due_at, due)
    values: dict[str, Any] = {
        "due_at": soonest,
        "not_found_at": None if found else transaction["not_found_at"] or seen_missing,
    }
    if caller == WORKER:
        values |= {
            "lookups": TRANSACTION.c.lookups + 1,
            # Who had it hastened meanwhile knew more than this look-up may have seen.
            "due_at": case((TRANSACTION.c.due_at == transaction["due_at"], due), else_=soonest),
            "leased_until": None,
        }
    with db.engine.begin() as connection:
        connection.execute(
            update(TRANSACTION)
            .where(
                TRANSACTION.c.payment_id == transaction["payment_id"],
                TRANSACTION.c.number == transaction["number"],
                TRANSACTION.c.status == transaction["status"],
            )
            .values(values)
        )
    log.info("looked_up", reference=transaction["reference"], found=why, next=str(due))
    return False


def _pause(lookups: int) -> timedelta:
    """Doubling from the first pause to the longest, with a jitter of a fifth so that look-ups
    which became due together don't stay together."""
    first = settings().resolution_first_lookup_seconds
    longest = settings().resolution_backoff_max_seconds
    seconds = min(longest, first * 2 ** min(lookups, 40))
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))
