"""Refunds that nobody here asked for: made at the provider's own page, and taken in as evidence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

import structlog
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from payment_service.domain.callers import Caller
from payment_service.domain.states import Verdict
from payment_service.domain.vocabulary import ASKS, CAPTURED, Actor, TransactionType
from payment_service.models import Contradiction
from payment_service.providers.contract import Outcome, Result
from payment_service.services.moves import evidence, refund_holds, refund_steps, rows, unsure
from payment_service.services.moves.operations import ADOPTED
from payment_service.services.moves.paid_twice import PAID_TWICE
from payment_service.services.moves.rows import TRANSACTION, PaymentRow, TransactionRow
from payment_service.telemetry import metrics

log = structlog.get_logger(__name__)

NAME = "provider"
"""Whom such a refund names in place of a caller."""


@dataclass(frozen=True)
class TheirRefund:
    """A refund as it stands at `provider`, with no reference of ours. `charge` is the provider's
    id of what it gives back, `amount` minor units of `currency`; `result` names the refund's own
    id."""

    provider: str
    charge: str
    amount: int
    currency: str
    result: Result


class Adopted(Enum):
    """What became of it. CROWDED: refunds that are under way hold its room, so it is to be tried
    again once they have ended. BEYOND: more went back than was captured, so there is no true row
    for it. UNFIT: in another currency, or of a payment that nothing was captured of."""

    NEW = auto()
    KNOWN = auto()
    NOTHING = auto()
    CROWDED = auto()
    BEYOND = auto()
    UNFIT = auto()


def payment_of(connection: Connection, refund: TheirRefund) -> int | None:
    """The payment whose money it gives back, if that is ours. What came in beside a payment is
    given back by the worker, which would see that it went back already."""
    query = (
        select(TRANSACTION.c.payment_id)
        .where(
            TRANSACTION.c.provider_reference == refund.charge,
            TRANSACTION.c.provider == refund.provider,
            TRANSACTION.c.type.in_(sorted(ASKS)),
            TRANSACTION.c.cause.is_distinct_from(PAID_TWICE),
        )
        .order_by(TRANSACTION.c.payment_id.desc())
    )
    found = connection.execute(query.limit(1)).scalar_one_or_none()
    return None if found is None else int(found)


def adopt(
    connection: Connection, refund: TheirRefund, *, payment_id: int, request_id: str | None = None
) -> tuple[Adopted, int | None]:
    """Writes it down with its request, once, in the connection's transaction, which must end soon:
    it locks the payment. What became of it, and the number of its request, if it has one.

    One that waits at the provider is looked up like any other. What was never given moves nothing.
    """
    payment = rows.read_payment(connection, payment_id, lock=True)
    if payment is None:
        raise LookupError(f"no payment {payment_id}")
    earlier = rows.read_transactions(connection, payment_id)
    if known := _known(earlier, refund):
        return Adopted.KNOWN, known["number"]
    if refund.result.outcome is Outcome.DECLINED:
        return Adopted.NOTHING, None
    if refund.currency != payment["currency"] or payment["status"] not in CAPTURED:
        return Adopted.UNFIT, None
    payment = _with_room(connection, payment, refund.amount)
    if payment["captured"] - payment["refunded"] >= refund.amount > _left(payment):
        return Adopted.CROWDED, None
    if _left(payment) < refund.amount:
        return _beyond(connection, payment, refund), None
    caller = Caller(NAME, Actor.PROVIDER, request_id)
    move = refund_steps.begin_refund(
        connection,
        payment=payment,
        earlier=earlier,
        amount=refund.amount,
        reason=None,
        caller=caller,
        key=None,
        cause=ADOPTED,
    )
    number = move.transaction["number"]
    about: dict[str, Any] = {
        "payment_id": payment_id,
        "number": number,
        "result": refund.result,
        "caller": caller,
    }
    if refund.result.outcome is Outcome.APPROVED:
        evidence.accept_locked(connection, verdict=Verdict.APPROVED, **about)
    else:
        unsure.keep_locked(connection, **about)
    return Adopted.NEW, number


def _known(earlier: list[TransactionRow], refund: TheirRefund) -> TransactionRow | None:
    theirs = refund.result.provider_reference
    return next(
        (
            row
            for row in earlier
            if row["type"] == TransactionType.REFUND and row["provider_reference"] == theirs
        ),
        None,
    )


def _left(payment: PaymentRow) -> int:
    left: int = payment["captured"] - payment["refunded"] - payment["refund_pending"]
    return left


def _with_room(connection: Connection, payment: PaymentRow, amount: int) -> PaymentRow:
    """What waits for a decision lapses where there is no room for both: approved, it would give
    back once more what went back already."""
    if _left(payment) >= amount:
        return payment
    return refund_holds.lapse(
        connection,
        payment,
        "Somebody gave money back at the provider's own page: there is no room for this one. Ask"
        " anew for what is still to go back.",
    )


def _beyond(connection: Connection, payment: PaymentRow, refund: TheirRefund) -> Adopted:
    metrics.CONTRADICTED.inc()
    seen = {"seq": payment["version"], "at": datetime.now(UTC)}
    written = insert(Contradiction).values(payment_id=payment["payment_id"], **seen)
    connection.execute(written.on_conflict_do_nothing())
    log.error("refunds_beyond_captured", reference=refund.result.provider_reference)
    return Adopted.BEYOND
