"""What became of a payment and of its refunds, in sentences: reads what domain/explanations needs,
in one round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    and_,
    bindparam,
    cast,
    literal_column,
    or_,
    select,
)

from payment_service.config import settings
from payment_service.domain import explanations
from payment_service.domain.around import AS_THE_API, Around, Written
from payment_service.domain.coming import Asked
from payment_service.domain.errors import PaymentNotFound
from payment_service.domain.explanations import Explanation
from payment_service.domain.vocabulary import RefundStatus, WebhookStatus
from payment_service.models import Event
from payment_service.queries import Listed, Query
from payment_service.services import upcoming
from payment_service.services.moves.operations import providers
from payment_service.services.moves.rows import PAYMENT, REFUND, TRANSACTION
from payment_service.services.reading import WEBHOOK

EVENT = Event.__table__


@dataclass(frozen=True)
class Explained:
    """A payment's explanation, and those of its refunds by their ids."""

    payment: Explanation
    refunds: Mapping[int, Explanation]


_MISMATCH = WEBHOOK.c.status == WebhookStatus.MISMATCH
_PARKED = and_(WEBHOOK.c.status == WebhookStatus.FAILED, WEBHOOK.c.due_at.is_(None))

# Seen in the event's body alone; a payment has few events.
_PATH: ColumnElement[str] = literal_column("'{data,contradicted}'")
_TRUE: ColumnElement[str] = literal_column("'true'")
_CONTRADICTS = cast(EVENT.c.body, JSON).op("#>>")(_PATH) == _TRUE

_READ = Query(
    "read_explained",
    select(PAYMENT.c.payment_id, *upcoming.STANDING).where(
        PAYMENT.c.payment_id == bindparam("id", type_=BigInteger, required=True)
    ),
    lists={
        "transactions": Listed(
            upcoming.ASKED,
            TRANSACTION.c.payment_id == PAYMENT.c.payment_id,
            order=[TRANSACTION.c.number],
        ),
        "refunds": Listed(
            [REFUND.c.refund_id, REFUND.c.transaction_number, REFUND.c.status],
            REFUND.c.payment_id == PAYMENT.c.payment_id,
            order=[REFUND.c.refund_id],
        ),
        "webhooks": Listed(
            [WEBHOOK.c.provider, WEBHOOK.c.status, WEBHOOK.c.error],
            WEBHOOK.c.payment_id == PAYMENT.c.payment_id,
            or_(_MISMATCH, _PARKED),
            order=[WEBHOOK.c.webhook_id],
        ),
        "contradicted": Listed(
            [EVENT.c.seq, EVENT.c.occurred_at],
            EVENT.c.payment_id == PAYMENT.c.payment_id,
            _CONTRADICTS,
            order=[EVENT.c.seq],
        ),
    },
)


def explain(
    *,
    payment_id: int,
    written: Written = AS_THE_API,
    now: datetime | None = None,
) -> Explained:
    """The payment and its refunds explained, with times and amounts as they are to be `written`.
    `now` is when it is read, unless it is said. Raises PaymentNotFound."""
    found = _READ.row(id=payment_id)
    if found is None:
        raise PaymentNotFound(f"there is no payment {payment_id}")
    payment = upcoming.standing_of(found)
    requests = upcoming.asked_of(found["transactions"])
    around = _around(found, requests, written, now or datetime.now(UTC))
    by_number = {asked.number: asked for asked in requests}
    refunds = {
        row["refund_id"]: explanations.explain_refund(
            status=RefundStatus(row["status"]),
            payment=payment,
            asked=by_number.get(row["transaction_number"]),
            around=around,
        )
        for row in found["refunds"]
    }
    return Explained(explanations.explain(payment, requests, around), refunds)


def _around(
    found: Mapping[str, Any],
    requests: Sequence[Asked],
    written: Written,
    now: datetime,
) -> Around:
    told, contradicted = found["webhooks"], found["contradicted"]
    mismatches = [row for row in told if row["status"] == WebhookStatus.MISMATCH]
    return Around(
        now=now,
        written=written,
        alarm_after=timedelta(seconds=settings().resolution_alarm_seconds),
        held_back=_held_back(requests),
        contradicted_at=contradicted[-1]["occurred_at"] if contradicted else None,
        mismatches=[(row["provider"], row["error"]) for row in mismatches],
        parked_webhooks=len(told) - len(mismatches),
    )


def _held_back(requests: Sequence[Asked]) -> dict[str, datetime]:
    """Until when the circuits of the payment's providers are open, as this process sees it: each
    has circuits of its own."""
    found = {}
    for name in {asked.provider for asked in requests}:
        provider = providers().find(name)
        if provider is not None and (until := provider.circuit.open_until()):
            found[name] = until
    return found
