"""The one door through which a status moves: plan a change from a row, apply it if nobody was
faster, with its events, deliveries, totals and the caller's answer, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, PoolProxiedConnection

from payment_service.config import settings
from payment_service.domain import events, jsontext, money, states
from payment_service.domain.callers import Caller
from payment_service.domain.vocabulary import TransactionStatus
from payment_service.idempotency import Key
from payment_service.outbox import routes
from payment_service.services.moves import pages, snapshots, total_changes, writing
from payment_service.services.moves.pages import Page
from payment_service.services.moves.rows import (
    PaymentChanges,
    PaymentRow,
    RefundRow,
    TransactionRow,
    dumped,
)
from payment_service.telemetry import traces

OPEN = (TransactionStatus.PROCESSING, TransactionStatus.REQUIRES_ACTION)


class NotWritten(Exception):
    """A change that could not be written as it was planned: a mistake of ours, never a caller's."""


@dataclass(frozen=True)
class News:
    """One thing to tell: the event's type, who did it and why, and more for its data."""

    type: str
    caller: Caller
    reason: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """A planned move: the rows as they were counted, as they stand and as they shall be, and the
    events. `contradicts` says that evidence overturns what callers had been told; `page` is what
    the provider gave anew for the payer, to be kept encrypted.
    """

    before: PaymentRow
    standing: PaymentRow
    payment: PaymentRow
    transaction: TransactionRow | None
    refund: RefundRow | None
    news: Sequence[News]
    events: Sequence[Mapping[str, Any]]
    contradicts: bool = False
    page: Page | None = field(default=None, repr=False)


def plan(
    *,
    payment: PaymentRow,
    moment: datetime,
    news: Sequence[News],
    changes: PaymentChanges,
    transaction: TransactionRow | None = None,
    refund: RefundRow | None = None,
    asked: TransactionRow | None = None,
    before: PaymentRow | None = None,
    new: bool = False,
) -> Change:
    """A change of `payment`, as it stands, to `changes` at `moment`, told as `news`. Nothing is
    written. Raises NotWritten for a change that `apply` does not write.

    All `news` are of one caller. `transaction` is the request whose outcome this is, as it shall
    be, `refund` the refund that it was about; `asked` is one that begins with this change, which
    the caller writes. `before` is the payment as it stood until another statement of this
    transaction wrote more of it: the totals have counted it like that. `new`: the row was just
    written, and comes from no status.
    """
    if unwritten := changes.keys() - writing.WRITTEN:
        raise NotWritten(f"apply does not write {sorted(unwritten)} of a payment")
    version = payment["version"] + len(news)
    after: PaymentRow = {**payment, **changes, "updated_at": moment, "version": version}
    from_status = None if new else payment["status"]
    told = []
    head = payment["audit_head"]
    snapshot = snapshots.of(after, [row for row in (transaction, asked) if row], news[0].caller)
    for seq, item in enumerate(news, start=payment["version"] + 1):
        body = events.cloud_event(
            payment_id=payment["payment_id"],
            seq=seq,
            event_type=item.type,
            occurred_at=moment,
            data=_event_data(from_status, after, transaction, item),
        )
        head = events.chained(head, body, snapshot)
        told.append(
            {
                "seq": seq,
                "type": item.type,
                "from_status": from_status,
                "to_status": after["status"],
                "actor": item.caller.actor,
                "request_id": item.caller.request_id,
                "reason": item.reason,
                "body": body,
                "snapshot": snapshot,
                "chain": head.hex(),
            }
        )
    after["audit_head"] = head
    return Change(before or payment, payment, after, transaction, refund, news, told)


def amended(change: Change, changes: PaymentChanges) -> Change:
    """The same change with more of the payment's columns changed: planned anew, because the
    events say what becomes of the row."""
    shall_be: Mapping[str, object] = change.payment
    planned = cast(PaymentChanges, {name: shall_be[name] for name in writing.WRITTEN})
    again = plan(
        payment=change.standing,
        moment=change.payment["updated_at"],
        news=change.news,
        changes={**planned, **changes},
        transaction=change.transaction,
        refund=change.refund,
        before=change.before,
    )
    return replace(again, contradicts=change.contradicts, page=change.page)


def apply(connection: Connection, change: Change) -> None:
    """Writes the change in one statement, in a transaction that has held the payment locked since
    it was read. Raises NotWritten if the payment moved all the same; nothing is written then."""
    if not apply_unless_moved(connection, change):
        raise NotWritten(f"payment {change.payment['payment_id']} moved while it was locked")


def apply_unless_moved(
    connection: PoolProxiedConnection | Connection,
    change: Change,
    *,
    key: Key | None = None,
    answer: tuple[int, str] | None = None,
) -> bool:
    """Writes the change in one statement. False, and nothing written, if the payment moved since
    it was read, as it may where nobody holds it locked.

    With a `key`, the caller's answer is kept too; `answer` None is a provisional one.
    """
    values: dict[str, object] = {
        **change.payment,
        "old_version": change.before["version"],
        "next_action": dumped(change.payment["next_action"]),
        "events": jsontext.dumps(change.events),
        "deliveries": jsontext.dumps(_deliveries(change)),
        "deltas": jsontext.dumps(total_changes.of(change.before, change.payment)),
        **writing.transaction_values(change.transaction),
        **writing.key_values(key, answer),
    }
    if change.page is not None:
        values["page"] = pages.sealed_page(change.page, change.payment["reference"])
        if values["page"] is not None:
            return writing.APPLY_PAGE.one(connection, values) is not None
    if change.refund is None:
        return writing.APPLY.one(connection, values) is not None
    values |= writing.refund_values(change.refund)
    return writing.APPLY_REFUND.one(connection, values) is not None


def _event_data(
    from_status: str | None, after: PaymentRow, transaction: TransactionRow | None, news: News
) -> Mapping[str, Any]:
    """The `data` of the CloudEvent, as docs/events.md describes it."""
    currency = after["currency"]
    data = {
        "payment_id": after["payment_id"],
        "trip_id": after["trip_id"],
        "order_id": after["order_id"],
        "rider_id": after["rider_id"],
        "driver_id": after["driver_id"],
        "user_id": after["user_id"],
        "reference": after["reference"],
        "purpose": after["purpose"],
        "method": after["method"],
        "provider": after["provider"],
        "from_status": from_status,
        "status": after["status"],
        "amount": money.format_amount(after["amount"], currency),
        "amount_captured": money.format_amount(after["captured"], currency),
        "amount_refunded": money.format_amount(after["refunded"], currency),
        "currency": currency,
        "failure_code": after["failure_code"],
        "transaction_reference": transaction["reference"] if transaction else None,
        "actor": news.caller.actor,
        "caller": news.caller.name,
        "request_id": news.caller.request_id,
        "reason": news.reason,
    }
    return {**data, **news.data}


def _deliveries(change: Change) -> list[dict[str, object]]:
    # Not said where nothing is traced: it is null then.
    traced = {"traceparent": came} if (came := traces.traceparent()) else {}
    return [
        {"sink": sink, "seq": event["seq"], **traced}
        for event in change.events
        for sink in routes.sinks_for(event["type"], change.payment, settings())
    ]


def taken_from(standing: PaymentRow) -> Mapping[str, object]:
    """For the data of an event by which a PENDING payment may leave these behind: what the totals
    had counted it under."""
    return {
        "from_provider": standing["provider"],
        "from_method": standing["method"],
        "from_currency": standing["currency"],
    }


def edge_of(payment: PaymentRow, trigger: str, verdict: states.Verdict) -> states.Edge:
    """The edge from where the payment stands. Raises states.IllegalEdge."""
    return states.edge(payment["status"], trigger, verdict)
