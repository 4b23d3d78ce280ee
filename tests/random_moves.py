"""Payments made around midnights, moved at random through the one door, and counted by hand."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask
from sqlalchemy import text

from payment_service.domain import states
from payment_service.domain.callers import Caller
from payment_service.domain.vocabulary import CAPTURED, PaymentStatus
from payment_service.extensions import db
from payment_service.services.moves import rows as service_rows
from payment_service.services.moves import transitions
from payment_service.services.moves.transitions import News
from tests.books import row, rows
from tests.fixtures import a_key, a_number

CALLER = Caller("local")
NEXT = {
    start: sorted({edge.to for (begin, _, _), edge in states.EDGES.items() if begin == start})
    for start in PaymentStatus
}
OFFSETS = (
    *(timedelta(days=-days, seconds=seconds) for days in (0, 1, 6, 7, 8) for seconds in (-1, 0)),
    *(timedelta(hours=hours, minutes=29) for hours in (-1, 3, -30, -200, -300)),
)
"""Of payments, to a midnight: the second before it and the one at it, today and at the ends of what
is kept."""


def midnight(zone: str) -> datetime:
    """The last one."""
    now = datetime.now(ZoneInfo(zone))
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def a_payment_made_at(app: Flask, at: datetime, *, pending: bool) -> int:
    """PROCESSING, as a charge begins it, or created PENDING with its event."""
    values = {"order": a_number(), "reference": f"PAY-{a_key()}", "at": at}
    values["status"] = "PENDING" if pending else "PROCESSING"
    made = (
        "INSERT INTO payments (order_id, amount, currency, method, provider, status, reference,"
        " caller, created_at, updated_at) VALUES (:order, 1000,"
        " CASE WHEN :order % 2 = 0 THEN 'INR' ELSE 'KWD' END,"
        " CASE WHEN :order % 3 = 0 THEN 'UPI' ELSE 'CARD' END,"
        " CASE WHEN :status = 'PENDING' THEN NULL ELSE 'sandbox' END, :status, :reference,"
        " 'local', :at, :at)"
    )
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(text(made), values)
        query = "SELECT payment_id FROM payments WHERE reference = :reference"
        payment_id: int = connection.execute(text(query), values).scalar_one()
        if pending:
            payment = service_rows.read_payment(connection, payment_id, lock=True)
            assert payment is not None
            news = [News("payment.created", CALLER)]
            change = transitions.plan(payment=payment, moment=at, news=news, changes={}, new=True)
            transitions.apply(connection, change)
    return payment_id


def move(app: Flask, payment_id: int, choice: int, share: int) -> None:
    """Along one of the edges from where it stands; `share` of a thousand is what is given back."""
    with app.app_context(), db.engine.begin() as connection:
        payment = service_rows.read_payment(connection, payment_id, lock=True)
        assert payment is not None
        ends = NEXT[PaymentStatus(payment["status"])]
        to = ends[choice % len(ends)]
        captured = (payment["captured"] or payment["amount"]) if to in CAPTURED else 0
        refunded = {"REFUNDED": captured, "PARTIALLY_REFUNDED": 1 + share % 998}.get(to, 0)
        changes: Any = {"status": to, "captured": captured, "refunded": refunded}
        changes["authorized"] = payment["amount"]
        changes["provider"] = payment["provider"] or "sandbox"
        news = [News("payment.moved", CALLER)]
        moment = datetime.now(UTC)
        before = payment
        change = transitions.plan(
            payment=payment, moment=moment, news=news, changes=changes, before=before
        )
        transitions.apply(connection, change)


Counts = dict[tuple[Any, ...], tuple[int, int, int]]


def counted(app: Flask, bucket: Callable[[datetime], Any]) -> Counts:
    """What stands in payments, by Python."""
    found: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for one in rows(app, "SELECT * FROM payments WHERE status <> 'PROCESSING'"):
        words = (one["provider"] or "none", one["method"], one["currency"], one["status"])
        sums = found[bucket(one["created_at"]), *words]
        sums.update(n=1, captured=one["captured"], refunded=one["refunded"])
    return {key: (one["n"], one["captured"], one["refunded"]) for key, one in found.items()}


def kept(app: Flask, table: str, bucket: str) -> Counts:
    """What payment_days or payment_hours say, without the zeros."""
    found = rows(app, f"SELECT * FROM {table}")
    return {
        (one[bucket], one["provider"], one["method"], one["currency"], one["status"]): stands
        for one in found
        if (stands := (one["payments"], int(one["captured_now"]), int(one["refunded_now"])))
        != (0, 0, 0)
    }


def day_in(zone: str) -> Callable[[datetime], date]:
    return lambda at: at.astimezone(ZoneInfo(zone)).date()


def hour_in(zone: str) -> Callable[[datetime], datetime]:
    def begins(at: datetime) -> datetime:
        local = at.astimezone(ZoneInfo(zone))
        return at.astimezone(UTC) - timedelta(
            minutes=local.minute, seconds=local.second, microseconds=local.microsecond
        )

    return begins


def figures_agree(app: Flask, zone: str) -> None:
    """Days and hours say what payments say; hours of the last eight days."""
    assert kept(app, "payment_days", "day") == counted(app, day_in(zone))
    since = row(app, "SELECT (date_trunc('day', now() AT TIME ZONE :zone) - interval '7 days')"
                " AT TIME ZONE :zone AS since", zone=zone)["since"]  # fmt: skip

    def recent(counts: Counts) -> Counts:
        return {key: value for key, value in counts.items() if key[0] >= since}

    assert recent(kept(app, "payment_hours", "hour")) == recent(counted(app, hour_in(zone)))
