"""What the desk shows: what needs a person now, the figures of the day, circuits and sinks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, select, tuple_

from payment_service import replica
from payment_service.config import settings
from payment_service.domain.four_eyes import RequestState
from payment_service.domain.pages import MAY, Deed, is_at_least
from payment_service.domain.vocabulary import (
    Method,
    PaymentStatus,
    TransactionType,
    WebhookStatus,
)
from payment_service.extensions import db
from payment_service.models import Contradiction, Delivery, Webhook
from payment_service.services import beats, deliveries, figures
from payment_service.services.beats import BeatStanding
from payment_service.services.figures import Figures
from payment_service.services.moves.operations import providers
from payment_service.services.moves.refund_holds import REQUEST
from payment_service.services.moves.rows import PAYMENT, TRANSACTION
from payment_service.services.moves.transitions import OPEN
from payment_service.services.sessions import Current

CONTRADICTION, DELIVERY = Contradiction.__table__, Delivery.__table__
WEBHOOK = Webhook.__table__

MOST = 100
"""Beyond that, a count says no more than "more than a hundred", and costs nothing more."""
CONTRADICTED_FOR = timedelta(days=7)
"""Nobody can say that he has looked at one, so it stays on the desk for a week."""
TOO_OLD = timedelta(seconds=10)
"""Older figures say how old they are: their beat is each second, and written each 5 s."""


class Wants(StrEnum):
    """What needs a person."""

    UNRESOLVED = "unresolved"
    """Requests that are open for longer than RESOLUTION_ALARM_SECONDS."""
    APPROVALS = "approvals"
    """Refunds that somebody asked for and on which who looks may decide."""
    EVENTS_PARKED = "events_parked"
    WEBHOOKS_PARKED = "webhooks_parked"
    CASH_TO_COLLECT = "cash_to_collect"
    """Payments in cash of which nobody has said yet whether the cash was handed over."""
    CASH_TO_HAND_BACK = "cash_to_hand_back"
    """Refunds that a person hands back, in cash or where the provider can't."""
    CONTRADICTED = "contradicted"
    """Of the last week: evidence overturned what callers had been told."""
    WORKERS_SILENT = "workers_silent"
    """Beats that don't come (services/beats)."""


@dataclass(frozen=True)
class Need:
    """One line of what needs a person now. `count` goes to a hundred, and there are `more` then.

    `oldest` is since when the longest of them waits; of requests and refunds, where there are
    `more`, the longest of those counted. None for a beat that never came. `page` is the list that
    it leads to, by the name of its page, and `only` the filters that show just these.
    """

    wants: Wants
    count: int
    more: bool
    oldest: datetime | None
    page: str
    only: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CircuitStanding:
    """A provider's circuit as the process sees it that answers: each has its own. `open_until` is
    when the next trial may be made, of one that is open."""

    provider: str
    state: str
    open_until: datetime | None = None


@dataclass(frozen=True)
class Desk:
    """`needs` has only those of which there are any; "nothing waits for you" if it is empty.
    `figures_at` is when the worker was last known to fold, None if never: the figures are as old,
    and `figures_are_old` says whether the page should say so."""

    read_at: datetime
    needs: tuple[Need, ...]
    figures: Figures
    figures_at: datetime | None
    figures_are_old: bool
    circuits: tuple[CircuitStanding, ...]
    sinks: tuple[deliveries.Standing, ...]
    beats: tuple[BeatStanding, ...]


def read(*, whose: Current | None = None) -> Desk:
    """All of it, from indexes and small tables, however many payments there are; and the approvals
    that wait for the operator `whose` desk it is."""
    now = datetime.now(UTC)
    standing = beats.read(now=now)
    figures_at = next(beat.last_at for beat in standing if beat.beat == "totals")
    with replica.may_answer():
        shown = figures.read(now=now)
    return Desk(
        read_at=now,
        needs=needs(standing, now, whose),
        figures=shown,
        figures_at=figures_at,
        figures_are_old=figures_at is None or now - figures_at > TOO_OLD,
        circuits=circuits(),
        sinks=tuple(deliveries.standings()),
        beats=tuple(standing),
    )


def circuits() -> tuple[CircuitStanding, ...]:
    """Those of all providers that are on."""
    return tuple(
        CircuitStanding(found.name, found.circuit.breaker.current_state, found.circuit.open_until())
        for found in providers().all()
    )


def needs(
    standing: list[BeatStanding], now: datetime, whose: Current | None = None
) -> tuple[Need, ...]:
    """What needs a person, in the order in which it should be looked at."""
    with db.engine.connect() as connection:
        found = [
            _unresolved(connection, now),
            *([_approvals(connection, whose)] if whose else []),
            _silent(standing),
            _contradicted(connection, now),
            _events(connection),
            _webhooks(connection),
            _to_hand_back(connection),
            _to_collect(connection),
        ]
    return tuple(need for need in found if need.count)


def _need(
    connection: Connection, wants: Wants, waiting: Select[Any], page: str, **only: str
) -> Need:
    """`waiting` gives since when each waits."""
    since = connection.execute(waiting.limit(MOST + 1)).scalars().all()
    oldest = min(since, default=None)
    return Need(wants, min(len(since), MOST), len(since) > MOST, oldest, page, only)


_KIND = tuple_(TRANSACTION.c.provider, TRANSACTION.c.type)


def _unresolved(connection: Connection, now: datetime) -> Need:
    """As totals.read counts them: all that is open is due for a look-up, and few."""
    late = now - timedelta(seconds=settings().resolution_alarm_seconds)
    waiting = select(TRANSACTION.c.created_at).where(
        TRANSACTION.c.due_at.is_not(None),
        TRANSACTION.c.status.in_(OPEN),
        TRANSACTION.c.created_at < late,
        _KIND.not_in(providers().by_hand()),
    )
    return _need(connection, Wants.UNRESOLVED, waiting, "payments", stuck="yes")


def _to_hand_back(connection: Connection) -> Need:
    by_hand = [pair for pair in providers().by_hand() if pair[1] is TransactionType.REFUND]
    waiting = select(TRANSACTION.c.created_at).where(
        TRANSACTION.c.due_at.is_not(None), TRANSACTION.c.status.in_(OPEN), _KIND.in_(by_hand)
    )
    return _need(connection, Wants.CASH_TO_HAND_BACK, waiting, "refunds", status="PENDING")


def _to_collect(connection: Connection) -> Need:
    waiting = (
        select(PAYMENT.c.created_at)
        .where(
            PAYMENT.c.rare_status == PaymentStatus.PENDING.value,
            PAYMENT.c.method == Method.CASH.value,
        )
        .order_by(PAYMENT.c.created_at)
    )
    only = {"status": PaymentStatus.PENDING.value, "method": Method.CASH.value}
    return _need(connection, Wants.CASH_TO_COLLECT, waiting, "payments", **only)


def _contradicted(connection: Connection, now: datetime) -> Need:
    waiting = (
        select(CONTRADICTION.c.at)
        .where(CONTRADICTION.c.at >= now - CONTRADICTED_FOR)
        .order_by(CONTRADICTION.c.at)
    )
    return _need(connection, Wants.CONTRADICTED, waiting, "payments", contradicted="yes")


def _approvals(connection: Connection, whose: Current) -> Need:
    """Whoever asked does not decide; what else is asked of an approver, the request's page says."""
    if not is_at_least(whose.role, MAY[Deed.APPROVE]):
        return Need(Wants.APPROVALS, 0, False, None, "approvals")
    waiting = (
        select(REQUEST.c.asked_at)
        .where(REQUEST.c.state == RequestState.OPEN.value, REQUEST.c.asked_by != whose.by.name)
        .order_by(REQUEST.c.asked_at)
    )
    return _need(connection, Wants.APPROVALS, waiting, "approvals")


def _events(connection: Connection) -> Need:
    waiting = (
        select(DELIVERY.c.parked_at)
        .where(DELIVERY.c.parked_at.is_not(None), DELIVERY.c.done_at.is_(None))
        .order_by(DELIVERY.c.parked_at)
    )
    return _need(connection, Wants.EVENTS_PARKED, waiting, "events")


def _webhooks(connection: Connection) -> Need:
    waiting = (
        select(WEBHOOK.c.received_at)
        .where(WEBHOOK.c.status == WebhookStatus.FAILED.value, WEBHOOK.c.due_at.is_(None))
        .order_by(WEBHOOK.c.received_at)
    )
    failed = WebhookStatus.FAILED.value
    return _need(connection, Wants.WEBHOOKS_PARKED, waiting, "webhooks", status=failed)


def _silent(standing: list[BeatStanding]) -> Need:
    silent = [beat for beat in standing if beat.is_silent]
    since = [beat.last_at for beat in silent if beat.last_at is not None]
    oldest = min(since) if since and len(since) == len(silent) else None
    return Need(Wants.WORKERS_SILENT, len(silent), False, oldest, "health")
