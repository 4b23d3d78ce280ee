"""Asks the provider about what is stuck: by our reference or its own id, never by sending again."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import structlog
from flask import Flask, current_app
from sqlalchemy import text, update

from payment_service.config import settings
from payment_service.domain.callers import WORKER, Caller
from payment_service.domain.states import Verdict
from payment_service.extensions import db
from payment_service.providers.contract import Outcome, OutcomeUnknown, Provider, Result
from payment_service.services.moves import evidence, outcomes, rows, unsure
from payment_service.services.moves.operations import operation_of, providers
from payment_service.services.moves.rows import TRANSACTION, TransactionRow
from payment_service.services.moves.transitions import OPEN

log = structlog.get_logger(__name__)

BATCH = 16
"""Look-ups at once, each on a thread of its own."""

_LEASE = """
    UPDATE transactions SET due_at = :until
    WHERE (payment_id, number) IN (
        SELECT payment_id, number FROM transactions
        WHERE due_at <= :now AND (CAST(:provider AS text) IS NULL OR provider = :provider)
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


def resolve(*, payment_id: int, number: int, caller: Caller = WORKER) -> bool:
    """Looks up one request and takes in what the provider says; True if that moved the payment.

    Holds no connection while it asks. A request that is settled for good is not asked about.
    """
    with db.engine.connect() as connection:
        payment = rows.read_payment(connection, payment_id)
        transactions = rows.read_transactions(connection, payment_id)
    if payment is None:
        raise LookupError(f"no payment {payment_id}")
    transaction = rows.find_transaction(transactions, number)
    provider = providers().find(transaction["provider"])
    if transaction["status"] not in OPEN and transaction["due_at"] is None:
        return False
    if provider is None:
        return _ask_again(transaction, "provider_off")
    earlier = [row for row in transactions if row["number"] != number]
    try:
        result = provider.lookup(operation_of(payment, transaction, earlier))
    except OutcomeUnknown:
        return _ask_again(transaction, "unknown")
    if result is None:
        return _not_found(transaction, provider, caller)
    verdict = outcomes.verdict_of(result, transaction)
    if verdict is None:
        unsure.keep(payment_id=payment_id, number=number, result=result, caller=caller)
        return _ask_again(transaction, "pending")
    moved = evidence.accept(
        payment_id=payment_id, number=number, verdict=verdict, result=result, caller=caller
    )
    return moved or _ask_again(transaction, "no_news")


def _not_found(transaction: TransactionRow, provider: Provider, caller: Caller) -> bool:
    """The provider has not seen the request. That is believed only once nothing can be on its way
    any more, and then only when it says so twice; and never if it had named its id for it."""
    if transaction["status"] not in OPEN:
        return _ask_again(transaction, "still_not_found")
    now = datetime.now(UTC)
    certain_after = transaction["send_before"] + timedelta(
        seconds=provider.limits.timeout + provider.limits.settling
    )
    if now < certain_after:
        return _ask_again(transaction, "not_found_yet", no_later_than=certain_after)
    first = transaction["not_found_at"]
    gap = timedelta(seconds=settings().resolution_first_lookup_seconds)
    if first is None or now - first < gap:
        return _ask_again(
            transaction, "not_found_once", no_later_than=(first or now) + gap, seen_missing=now
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
    return moved or _ask_again(transaction, "not_found_but_known_there")


def _ask_again(
    transaction: TransactionRow,
    why: str,
    *,
    no_later_than: datetime | None = None,
    seen_missing: datetime | None = None,
) -> bool:
    """Not sure yet: a later look-up, ever more seldom, for ever. Always False: nothing moved."""
    now = datetime.now(UTC)
    due: datetime | None = now + _pause(transaction["lookups"])
    if no_later_than is not None and due is not None:
        due = max(min(due, no_later_than), now + timedelta(milliseconds=100))
    given_up = transaction["occurred_at"] or transaction["created_at"]
    if transaction["status"] not in OPEN and now - given_up > evidence.WATCH:
        due = None  # surely never received, and looked up long enough
    with db.engine.begin() as connection:
        connection.execute(
            update(TRANSACTION)
            .where(
                TRANSACTION.c.payment_id == transaction["payment_id"],
                TRANSACTION.c.number == transaction["number"],
                TRANSACTION.c.status == transaction["status"],
            )
            .values(
                lookups=TRANSACTION.c.lookups + 1,
                due_at=due,
                not_found_at=transaction["not_found_at"] or seen_missing,
            )
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
