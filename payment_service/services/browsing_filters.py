"""The filters of the operators' list of payments as conditions, each phrased so that an index
serves it; those that all lists have are phrased in services/listing_filters."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, Select, and_, bindparam, func, or_, select

from payment_service.domain.vocabulary import PaymentStatus, RefundStatus
from payment_service.models import Contradiction
from payment_service.services.listing_filters import Filter, wanted_rows
from payment_service.services.moves.rows import PAYMENT, REFUND, TRANSACTION
from payment_service.services.moves.transitions import OPEN

CONTRADICTION = Contradiction.__table__

CONTRADICTED_FOR = timedelta(days=7)
"""As long as the desk shows one."""

ByHand = tuple[tuple[str, str], ...]
"""Which requests a person settles, by provider and type: they are not stuck."""

_BOUNDS = {"amount_from": PAYMENT.c.amount.__ge__, "amount_to": PAYMENT.c.amount.__le__}
_GIVEN_BACK = (PaymentStatus.REFUNDED, PaymentStatus.PARTIALLY_REFUNDED)


def wanted(names: tuple[str, ...], status: str | None, by_hand: ByHand) -> list[Filter]:
    """A condition for each name; its value is the parameter of its name.

    Beside those of all lists: amount_from and amount_to; `stuck`, the time before which a request
    was sent that is still open; `contradicted`, the time since which evidence overturned what
    callers were told; `refunded_from`, `refunded_to`, when a refund was asked for that succeeded;
    `refunded`, given back at any time, for lists that another filter keeps short.
    """
    found = []
    for name in names:
        if name in _BOUNDS:
            found.append(_BOUNDS[name](bindparam(name, type_=BigInteger, required=True)))
        elif name == "stuck":
            found.append(_among(_stuck(by_hand)))
        elif name == "contradicted":
            at = CONTRADICTION.c.at >= _moment(name)
            found.append(_among(select(CONTRADICTION.c.payment_id).where(at)))
        elif name == "refunded":
            found.append(or_(*(PAYMENT.c.rare_status == status.value for status in _GIVEN_BACK)))
        elif name == "refunded_from":
            found.append(_among(_refunded("refunded_to" in names)))
        elif name != "refunded_to":
            found.append(wanted_rows(PAYMENT, name, status))
    return found


def _moment(name: str) -> Any:
    return bindparam(name, type_=PAYMENT.c.created_at.type, required=True)


def _among(ids: Select[Any]) -> Filter:
    """As an array, which PostgreSQL takes to be short: it looks each of them up. A plain IN is
    joined, at times by a walk through the list until 51 are met, or through all of it."""
    found: Filter = PAYMENT.c.payment_id == func.any(func.array(ids.scalar_subquery()))
    return found


def _stuck(by_hand: ByHand) -> Select[Any]:
    """As the desk counts them: all that is open is due for a look-up, and few."""
    open_ = TRANSACTION.c.status.in_([status.value for status in OPEN])
    others = [
        or_(TRANSACTION.c.provider != provider, TRANSACTION.c.type != kind)
        for provider, kind in by_hand
    ]
    late = TRANSACTION.c.created_at < _moment("stuck")
    due = TRANSACTION.c.due_at.is_not(None)
    return select(TRANSACTION.c.payment_id).where(due, open_, late, *others)


def _refunded(until: bool) -> Select[Any]:
    asked = REFUND.c.created_at
    times = asked >= _moment("refunded_from")
    if until:
        times = and_(times, asked < _moment("refunded_to"))
    return select(REFUND.c.payment_id).where(times, REFUND.c.status == RefundStatus.SUCCESS.value)
