"""Disputes: what a provider says of them, held against what we have. Webhooks and look-ups come in
by the same door, in any order and any number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql

from payment_service.domain import money
from payment_service.domain.callers import Caller
from payment_service.domain.disputes import (
    DisputeKind,
    DisputeStatus,
    Movement,
    MovementKind,
    TheirDispute,
    goes_on,
    money_of,
)
from payment_service.domain.vocabulary import ASKS
from payment_service.models import Dispute, DisputeMovement
from payment_service.services.moves import rows, transitions
from payment_service.services.moves.rows import TRANSACTION, PaymentRow
from payment_service.services.moves.transitions import News

log = structlog.get_logger(__name__)

DISPUTE, MOVEMENT = Dispute.__table__, DisputeMovement.__table__

OPEN = (DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW)
DAY = timedelta(days=1)
WATCH = timedelta(days=180)
"""How long an ended one is still asked about, once a day: it may be lost later."""


def payment_of(connection: Connection, *, provider: str, charge: str) -> int | None:
    """The payment whose charge has that id at the provider, if it is ours."""
    query = select(TRANSACTION.c.payment_id).where(
        TRANSACTION.c.provider_reference == charge,
        TRANSACTION.c.provider == provider,
        TRANSACTION.c.type.in_(sorted(ASKS)),
    )
    found = connection.execute(query.limit(1)).scalar_one_or_none()
    return None if found is None else int(found)


def take_in(
    connection: Connection,
    theirs: TheirDispute,
    *,
    payment_id: int,
    provider: str,
    caller: Caller,
    soon: bool = False,
    is_current: bool = False,
) -> bool:
    """Writes down what is new of it, and what that means for its payment; False for no news. In the
    connection's transaction, which must end soon: it locks the payment. `soon`: the provider is to
    be asked at once, because this is what a webhook says, which may be late. `is_current`: it was
    just asked, so what it says at the same status is no older."""
    payment = rows.read_payment(connection, payment_id, lock=True)
    if payment is None:
        raise LookupError(f"no payment {payment_id}")
    now = datetime.now(UTC)
    standing = _standing(connection, provider, theirs.provider_dispute_id)
    values = _values(theirs, standing, is_current=is_current)
    due_at = now if soon else _next_look(values, now)
    if standing is None:
        adding = insert(DISPUTE).values(
            **values,
            payment_id=payment_id,
            provider=provider,
            provider_dispute_id=theirs.provider_dispute_id,
            created_at=now,
            updated_at=now,
            due_at=due_at,
        )
        dispute_id = connection.execute(adding.returning(DISPUTE.c.dispute_id)).scalar_one()
    else:
        dispute_id = standing["dispute_id"]
    of = {"dispute_id": dispute_id, "payment_id": payment_id, "provider": provider}
    moved = _write_movements(connection, theirs.movements, {**of, "created_at": now})
    changed = standing is not None and any(standing[name] != values[name] for name in values)
    if standing is not None:
        news = {**values, "updated_at": now} if changed or moved else {}
        same = DISPUTE.c.dispute_id == dispute_id
        connection.execute(update(DISPUTE).where(same).values(**news, due_at=due_at))
    if standing is not None and not changed and not moved:
        return False
    kind = _event(standing, values)
    _tell(connection, payment, dispute_id, values, kind, caller)
    return True


def _standing(connection: Connection, provider: str, theirs: str) -> Mapping[str, Any] | None:
    query = select(DISPUTE).where(
        DISPUTE.c.provider == provider, DISPUTE.c.provider_dispute_id == theirs
    )
    found = connection.execute(query).mappings().one_or_none()
    return dict(found) if found else None


_OF_THEIRS = ("reason", "amount", "currency", "evidence_due_at", "submissions", "opened_at")


def _values(
    theirs: TheirDispute, standing: Mapping[str, Any] | None, *, is_current: bool
) -> Mapping[str, Any]:
    """The row's columns as they shall be. Weaker or older news moves nothing back; a look-up may
    find another deadline at the same status."""
    said = asdict(theirs)
    if standing is not None:
        before = DisputeKind(standing["kind"]), DisputeStatus(standing["status"])
        still = is_current and before == (theirs.kind, theirs.status)
        if not still and not goes_on(*before, theirs.kind, theirs.status):
            names = (*_OF_THEIRS, "kind", "status", "closed_at")
            kept = {name: standing[name] for name in names}
            return kept | {"submissions": max(standing["submissions"], theirs.submissions)}
    ended = theirs.status not in OPEN
    closed = standing["closed_at"] if standing else None
    return {
        **{name: said[name] for name in _OF_THEIRS},
        "kind": str(theirs.kind),
        "status": str(theirs.status),
        "closed_at": (closed or datetime.now(UTC)) if ended else None,
    }


def _next_look(values: Mapping[str, Any], now: datetime) -> datetime | None:
    closed = values["closed_at"]
    return None if closed is not None and now - closed > WATCH else now + DAY


def _write_movements(
    connection: Connection, movements: tuple[Movement, ...], of: Mapping[str, object]
) -> bool:
    """Whether one of them was new."""
    if not movements:
        return False
    found = [{**asdict(one), **of} for one in movements]
    adding = postgresql.insert(MOVEMENT).values(found).on_conflict_do_nothing()
    return bool(connection.execute(adding.returning(MOVEMENT.c.dispute_id)).all())


def _event(standing: Mapping[str, Any] | None, values: Mapping[str, Any]) -> str:
    if standing is None:
        return "dispute.opened"
    if standing["status"] == values["status"]:
        return "dispute.updated"
    ends = {DisputeStatus.WON: "dispute.won", DisputeStatus.LOST: "dispute.lost"}
    return ends.get(DisputeStatus(values["status"]), "dispute.updated")


def _tell(
    connection: Connection,
    payment: PaymentRow,
    dispute_id: int,
    values: Mapping[str, Any],
    kind: str,
    caller: Caller,
) -> None:
    """Moves the payment's amounts to what all its disputes say by now, and tells of it."""
    held = money_of(_of_payment(connection, payment["payment_id"]))
    told = {
        "dispute_id": dispute_id,
        "kind": values["kind"],
        "status": values["status"],
        "reason": values["reason"],
        "amount": money.format_amount(values["amount"], values["currency"]),
    }
    currency = payment["currency"]
    sums = {
        "amount_disputed": money.format_amount(held.disputed, currency),
        "amount_charged_back": money.format_amount(held.charged_back, currency),
    }
    change = transitions.plan(
        payment=payment,
        moment=datetime.now(UTC),
        news=[News(kind, caller, values["reason"], {"dispute": told, **sums})],
        changes={"disputed": held.disputed, "charged_back": held.charged_back},
    )
    transitions.apply(connection, change)


def _of_payment(
    connection: Connection, payment_id: int
) -> list[tuple[DisputeStatus, list[Movement]]]:
    of = DISPUTE.c.payment_id == payment_id
    found: dict[int, tuple[DisputeStatus, list[Movement]]] = {
        row.dispute_id: (DisputeStatus(row.status), [])
        for row in connection.execute(select(DISPUTE.c.dispute_id, DISPUTE.c.status).where(of))
    }
    moved = select(MOVEMENT).where(MOVEMENT.c.payment_id == payment_id)
    for row in connection.execute(moved).mappings():
        said = {name: row[name] for name in Movement.__dataclass_fields__}
        found[row["dispute_id"]][1].append(Movement(**said | {"kind": MovementKind(row["kind"])}))
    return list(found.values())
