"""Which acts fit a payment now, and why the others don't: the one place that decides, for its page
and for the forms. The services that act ask again, under the lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import select

from payment_service.domain.coming import Asked
from payment_service.domain.operators import Role
from payment_service.domain.pages import MAY, Deed, is_at_least
from payment_service.domain.vocabulary import CAPTURED, PaymentStatus, RefundStatus, TransactionType
from payment_service.extensions import db
from payment_service.services import standing, upcoming
from payment_service.services.moves import rows
from payment_service.services.moves.operations import providers, taken_by
from payment_service.services.moves.refund_holds import RefundRequestRow, find_open
from payment_service.services.moves.rows import REFUND, PaymentRow, RefundRow, TransactionRow
from payment_service.services.sessions import Current


class PaymentAct(StrEnum):
    """What an operator can do with a payment, by the word in the address of its form."""

    REFUND = "refund"
    CAPTURE = "capture"
    CANCEL = "cancel"
    LOOK_UP = "look-up"
    CASH_RECEIVED = "cash-received"
    CASH_HANDED_BACK = "cash-handed-back"


DEED_OF = {
    PaymentAct.REFUND: Deed.REFUND,
    PaymentAct.CAPTURE: Deed.CAPTURE,
    PaymentAct.CANCEL: Deed.CANCEL,
    PaymentAct.LOOK_UP: Deed.RESOLVE,
    PaymentAct.CASH_RECEIVED: Deed.SETTLE_CASH,
    PaymentAct.CASH_HANDED_BACK: Deed.SETTLE_CASH,
}


@dataclass(frozen=True)
class Fit:
    """One act, and `why` it does not fit now; None if it does. `refund_id` is the refund that it is
    about."""

    act: PaymentAct
    why: str | None = None
    refund_id: int | None = None


@dataclass(frozen=True)
class AsItStands:
    """A payment as whoever acts sees it. `asked` are its requests to providers,
    `waiting` is the refund that somebody else is to decide on."""

    payment: PaymentRow
    transactions: Sequence[TransactionRow]
    asked: Sequence[Asked]
    refunds: Sequence[RefundRow]
    waiting: RefundRequestRow | None

    @property
    def left(self) -> int:
        """What can be given back, in minor units."""
        return rows.left_of(self.payment)

    @property
    def provider(self) -> str | None:
        """The name of who has, or holds, the money; or is to be asked for it."""
        beyond = [one for one in self.transactions if one["provider"]]
        return taken_by(self.payment, self.transactions) if beyond else self.payment["provider"]

    @property
    def given_by_hand(self) -> bool:
        """Whether a person hands back what is given back."""
        found = providers().find(self.provider) if self.provider else None
        return found is not None and TransactionType.REFUND in found.by_hand

    @property
    def whole_only(self) -> bool:
        """Whether the provider gives back all of a payment, and no part of it."""
        found = providers().find(self.provider) if self.provider else None
        return found is not None and found.full_refunds_only


def look(payment_id: int) -> AsItStands:
    """The payment. Raises PaymentNotFound."""
    with db.engine.connect() as connection:
        # First: where it moves in between, its version is too old, and nothing worse.
        payment = standing.read(connection, payment_id)
        transactions = rows.read_transactions(connection, payment_id)
        query = select(REFUND).where(REFUND.c.payment_id == payment_id).order_by(REFUND.c.refund_id)
        refunds = [rows.refund_row(row) for row in connection.execute(query).mappings()]
        waiting = find_open(connection, payment_id)
    return AsItStands(payment, transactions, upcoming.asked_of(transactions), refunds, waiting)


def acts_for(seen: AsItStands, operator: Current) -> list[Fit]:
    """The acts of the payment's page, in its order. Those of cash are left out where there never
    was any."""
    fits = [Fit(act, why(seen)) for act, why in _WHY_NOT.items()]
    by_hand = next((one for one in seen.asked if _waits_for_hand(one)), None)
    if _is_cash(seen):
        fits.append(Fit(PaymentAct.CASH_RECEIVED, _why_not_received(seen)))
    if by_hand:
        fits.append(Fit(PaymentAct.CASH_HANDED_BACK, refund_id=_refund_of(seen, by_hand)))
    elif _is_cash(seen):
        fits.append(Fit(PaymentAct.CASH_HANDED_BACK, "No refund waits to be handed back."))
    return [_within_role(fit, operator.role) for fit in fits]


def fit_of(act: PaymentAct, seen: AsItStands, operator: Current) -> Fit:
    """That one of them."""
    fits = {fit.act: fit for fit in acts_for(seen, operator)}
    return fits.get(act) or Fit(act, "This is not a payment in cash.")


def _within_role(fit: Fit, role: Role) -> Fit:
    wanted = MAY[DEED_OF[fit.act]]
    if is_at_least(role, wanted):
        return fit
    return Fit(fit.act, f"For operators with the role {wanted}.", fit.refund_id)


def _why_no_refund(seen: AsItStands) -> str | None:
    payment = seen.payment
    if payment["status"] not in CAPTURED:
        return "Nothing was taken, so nothing can be given back."
    if rows.is_history(payment):
        return "It was imported: its provider is not known here."
    if payment["disputed"]:
        return "The payer contests it at the bank; it can be refunded when that has ended."
    if seen.waiting:
        return "A refund waits for a decision already."
    if seen.left <= 0:
        return (
            "The rest of it is being given back."
            if payment["refund_pending"]
            else "All of it was given back."
        )
    if seen.whole_only and seen.left != payment["captured"]:
        return f"{seen.provider} gives back all of a payment, and no part of it."
    return None


def _why_no_capture(seen: AsItStands) -> str | None:
    if seen.payment["status"] == PaymentStatus.AUTHORIZED:
        return None
    return _under_way(seen) or "Nothing is held."


def _why_no_cancel(seen: AsItStands) -> str | None:
    status = seen.payment["status"]
    if status in (PaymentStatus.PENDING, PaymentStatus.AUTHORIZED):
        return None
    if status in CAPTURED:
        return "It is paid: give it back instead."
    if status == PaymentStatus.REQUIRES_ACTION:
        return "It waits for the payer, and ends by itself."
    return _under_way(seen) or "It is over."


def _why_no_look_up(seen: AsItStands) -> str | None:
    if any(one.can_be_looked_up() for one in seen.asked):
        return None
    return "No request waits for an answer."


_WHY_NOT = {
    PaymentAct.REFUND: _why_no_refund,
    PaymentAct.CAPTURE: _why_no_capture,
    PaymentAct.CANCEL: _why_no_cancel,
    PaymentAct.LOOK_UP: _why_no_look_up,
}


def _under_way(seen: AsItStands) -> str | None:
    """What is asked of the provider just now."""
    asked = [one for one in seen.asked if not one.is_beside()]
    if seen.payment["status"] != PaymentStatus.PROCESSING or not asked:
        return None
    return f"A {asked[-1].type.lower()} is under way; its answer is not known yet."


def _is_cash(seen: AsItStands) -> bool:
    return bool(providers().charged_by_hand(seen.payment["method"]))


def _why_not_received(seen: AsItStands) -> str | None:
    if seen.payment["status"] == PaymentStatus.PENDING:
        return None
    return "It does not wait for cash."


def _waits_for_hand(one: Asked) -> bool:
    """Whether a person says how the refund ended: cash, or what a provider took and lost."""
    lost = one.provider_reference and one.not_found_at
    return one.type == TransactionType.REFUND and one.is_open() and bool(one.by_hand or lost)


def _refund_of(seen: AsItStands, one: Asked) -> int | None:
    pending: list[Any] = [
        row["refund_id"]
        for row in seen.refunds
        if row["transaction_number"] == one.number and row["status"] == RefundStatus.PENDING
    ]
    return pending[0] if pending else None
