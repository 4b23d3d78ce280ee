"""What a provider said unasked, held against the request that it names. Whether it moves anything
is for moves/evidence to say, as of any other answer."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from payment_service.domain.callers import Caller
from payment_service.domain.states import Verdict
from payment_service.domain.vocabulary import (
    ASKS,
    TransactionStatus,
    TransactionType,
    WebhookStatus,
)
from payment_service.providers.contract import Outcome, OutcomeUnknown, Result
from payment_service.providers.provider import Provider, believable
from payment_service.providers.webhooks import Notice, Trust
from payment_service.services import provider_customers
from payment_service.services.moves import evidence, outcomes, rows, unasked, unsure
from payment_service.services.moves.hastening import hasten
from payment_service.services.moves.operations import operation_of
from payment_service.services.moves.rows import PAYMENT, TRANSACTION, LockedRequest, TransactionRow

MOST_NUMBER = 2**15 - 1
"""Of a payment's requests: it is a smallint."""

ANOTHER_PAYMENT = "another payment on the same page, looked up"
"""What a webhook is told to be about where a page can be paid twice: no alarm."""


class Request(NamedTuple):
    """Which request of which payment."""

    payment_id: int
    number: int


@dataclass(frozen=True)
class Applied:
    """What became of a notice, and what request it is about. `why` says what does not fit, in
    words of ours."""

    status: WebhookStatus
    request: Request | None = None
    why: str | None = None


def apply(
    connection: Connection, *, provider: Provider, notice: Notice, trust: Trust, caller: Caller
) -> Applied:
    """Takes in what the notice says, in the connection's transaction, which must end soon: it locks
    the payment. No provider is asked."""
    if notice.customer is not None:
        return _of_customer(connection, provider, notice, trust)
    request = find(connection, provider=provider.name, notice=notice, trust=trust)
    if request is None:
        beside = unasked.take(connection, provider.name, notice, trust, caller)
        number = None if beside.number is None else Request(beside.payment_id, beside.number)
        return Applied(beside.status, number, beside.why)
    locked = rows.lock_request(connection, *request)
    transaction = locked.transaction
    if trust is Trust.UNSIGNED:
        return Applied(_looked_up(connection, locked), request)
    try:
        notice = _expect_fitting(provider, notice, locked)
    except _Mismatch as error:
        hasten(connection, payment_id=request.payment_id, number=request.number)
        return Applied(WebhookStatus.MISMATCH, request, str(error))
    if _has_another_id(notice, transaction):
        hasten(connection, payment_id=request.payment_id, number=request.number)
        return Applied(WebhookStatus.APPLIED, request, ANOTHER_PAYMENT)
    held = notice.only_charges and transaction["type"] == TransactionType.AUTHORIZATION
    if notice.result is None or held or _overturns_refund(notice.result, transaction):
        return Applied(_looked_up(connection, locked), request)
    moved = _taken_in(connection, request, transaction, notice.result, caller)
    if _is_due(transaction):
        # Another notice had it hastened, which may know of more than this one says.
        hasten(connection, payment_id=request.payment_id, number=request.number)
    return Applied(WebhookStatus.APPLIED if moved else WebhookStatus.NO_NEWS, request)


def find(connection: Connection, *, provider: str, notice: Notice, trust: Trust) -> Request | None:
    """The request that the notice names: by our reference, which is nobody else's, or by the id
    that this provider has for it. Of several under one id it is the first, which the others are
    about. What is unsigned finds no request to another provider, and so has none of them asked."""
    query = select(TRANSACTION.c.payment_id, TRANSACTION.c.number)
    if trust is not Trust.SIGNED:
        query = query.where(TRANSACTION.c.provider == provider)
    if notice.reference is not None:
        reference, _, number = notice.reference.rpartition("-")
        is_short = number.isascii() and number.isdigit() and len(number) <= 5
        if not is_short or int(number) > MOST_NUMBER:
            return None
        query = query.join(PAYMENT, PAYMENT.c.payment_id == TRANSACTION.c.payment_id).where(
            PAYMENT.c.reference == reference, TRANSACTION.c.reference == notice.reference,
            TRANSACTION.c.number == int(number),
        )  # fmt: skip
    elif notice.known_as is not None:
        query = query.where(
            TRANSACTION.c.provider_reference == notice.known_as, TRANSACTION.c.provider == provider
        ).order_by(TRANSACTION.c.payment_id.desc(), TRANSACTION.c.number)
    else:
        return None
    found = connection.execute(query.limit(1)).one_or_none()
    return None if found is None else Request(found.payment_id, found.number)


def _of_customer(
    connection: Connection, provider: Provider, notice: Notice, trust: Trust
) -> Applied:
    """News of what a customer has saved: it is looked up, and nothing else follows from it."""
    if notice.mismatch is not None:
        return Applied(WebhookStatus.MISMATCH, None, notice.mismatch)
    if trust is not Trust.SIGNED or notice.customer is None:
        return Applied(WebhookStatus.NO_NEWS)
    known = provider_customers.hasten(connection, provider=provider.name, known_as=notice.customer)
    return Applied(WebhookStatus.APPLIED if known else WebhookStatus.NO_NEWS)


class _Mismatch(Exception):
    """It is about our request and does not fit it."""


def _expect_fitting(provider: Provider, notice: Notice, locked: LockedRequest) -> Notice:
    """The notice, with what can be kept of its result. Raises _Mismatch."""
    payment, transactions, transaction, _ = locked
    if notice.mismatch is not None:
        raise _Mismatch(notice.mismatch)
    if transaction["provider"] != provider.name:
        raise _Mismatch("another provider was asked")
    page = transaction["type"] in ASKS and provider.pages_can_be_paid_twice
    if _has_another_id(notice, transaction) and not page:
        raise _Mismatch("the provider has another id for it")
    if notice.amount not in (None, transaction["amount"]):
        raise _Mismatch("another amount was asked for")
    if notice.currency not in (None, transaction["currency"]):
        raise _Mismatch("another currency was asked for")
    if notice.result is None:
        return notice
    earlier = [row for row in transactions if row["number"] != transaction["number"]]
    try:
        result = believable(notice.result, operation_of(payment, transaction, earlier))
    except OutcomeUnknown:
        raise _Mismatch("more was approved than was asked for, or nothing") from None
    return replace(notice, result=result)


def _has_another_id(notice: Notice, transaction: TransactionRow) -> bool:
    ids = (transaction["provider_reference"], notice.known_as)
    return None not in ids and len(set(ids)) > 1


def _is_due(transaction: TransactionRow) -> bool:
    due = transaction["due_at"]
    return due is not None and due <= datetime.now(UTC)


def _looked_up(connection: Connection, locked: LockedRequest) -> WebhookStatus:
    """Has the provider asked, unless its answer can change nothing: what succeeded stays so, but
    for a refund. News of a charge that succeeded may be about what was asked since: some providers
    (FIB) tell of a refund by the name of the payment."""
    _, transactions, transaction, _ = locked
    is_refund = transaction["type"] == TransactionType.REFUND
    asked = [transaction]
    if transaction["status"] == TransactionStatus.SUCCESS and not is_refund:
        provider = transaction["provider"]
        asked = [row for row in transactions if _is_watched_at(row, provider=provider)]
    for row in asked:
        hasten(connection, payment_id=row["payment_id"], number=row["number"])
    return WebhookStatus.APPLIED if asked else WebhookStatus.NO_NEWS


def _is_watched_at(row: TransactionRow, *, provider: str) -> bool:
    """Whether that provider has yet to say how the request ends, or may still say otherwise."""
    not_done = row["status"] != TransactionStatus.SUCCESS
    return not_done and row["due_at"] is not None and row["provider"] == provider


def _overturns_refund(result: Result, transaction: TransactionRow) -> bool:
    """Whether a refund that ended would end otherwise. It may do so, either way, and webhooks come
    in any order: only the provider can say which was said last."""
    if transaction["type"] != TransactionType.REFUND:
        return False
    ended = {
        TransactionStatus.SUCCESS: Outcome.DECLINED,
        TransactionStatus.FAILED: Outcome.APPROVED,
    }
    return ended.get(TransactionStatus(transaction["status"])) is result.outcome


def _taken_in(
    connection: Connection,
    request: Request,
    transaction: TransactionRow,
    result: Result,
    caller: Caller,
) -> bool:
    """Whether the result was news."""
    about: dict[str, Any] = {**request._asdict(), "result": result, "caller": caller}
    verdict: Verdict | None = outcomes.verdict_of(result, transaction)
    if verdict is None:
        return unsure.keep_locked(connection, **about)
    return evidence.accept_locked(connection, verdict=verdict, **about) is not None


def dumped(body: bytes, notice: Notice) -> str:
    """What came and what was read of it, as one text. It is read once, when its signature is good:
    later the secret may be another one, and the time over."""
    # Bytes as letters of the same numbers: any body is a text so.
    kept = {"body": body.decode("latin-1"), "notice": asdict(notice)}
    return json.dumps(kept, default=_as_text)


def body_of(kept: str) -> bytes:
    """What came."""
    body: str = json.loads(kept)["body"]
    return body.encode("latin-1")


def notice_of(kept: str) -> Notice:
    """What was read of it."""
    said = json.loads(kept)["notice"]
    if (result := said["result"]) is not None:
        result["outcome"] = Outcome(result["outcome"])
        if result["occurred_at"] is not None:
            result["occurred_at"] = datetime.fromisoformat(result["occurred_at"])
        said["result"] = Result(**result)
    if said.get("dispute") is not None:
        said["dispute"] = unasked.dispute_of(said["dispute"])
    return Notice(**said)


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
