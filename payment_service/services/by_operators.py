"""What operators do with a payment, beside giving money back (services/refund_requests): what
callers of the API do, with the payment as they saw it, and once for each form that was drawn.

Every function reads who acts from the database (services/acting). Each raises NotAllowed,
OutOfReach, PaymentChanged and what the service that it calls raises; nothing was done then.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Connection

from payment_service import idempotency
from payment_service.domain.callers import Caller
from payment_service.domain.commands import Cancel, Capture, SetRefundStatus, SetStatus
from payment_service.domain.errors import DomainError
from payment_service.domain.operators import Refused
from payment_service.domain.pages import Deed
from payment_service.domain.vocabulary import PaymentStatus, RefundStatus
from payment_service.extensions import db
from payment_service.idempotency import Key
from payment_service.services import acting, holds, payments, refunds, settling, standing, upcoming
from payment_service.services.moves import resolution, rows
from payment_service.services.moves.answers import Ended
from payment_service.services.moves.rows import PaymentRow
from payment_service.services.standing import Condition

_DONE = (1, "{}")
"""Kept under the key of what asks no provider: how it went is read from the payment."""


def capture(*, payment_id: int, command: Capture, version: int, key: Key, caller: Caller) -> Ended:
    """Takes held funds, all or a part."""
    rule = _rule(caller, Deed.CAPTURE, version)
    return holds.capture(payment_id=payment_id, command=command, key=key, caller=caller, rule=rule)


def cancel(*, payment_id: int, command: Cancel, version: int, key: Key, caller: Caller) -> Ended:
    """Cancels what is not paid yet, or releases the hold."""
    rule = _rule(caller, Deed.CANCEL, version)
    return payments.cancel(
        payment_id=payment_id, command=command, key=key, caller=caller, rule=rule
    )


def take_cash(*, payment_id: int, version: int, key: Key, caller: Caller) -> bool:
    """The operator says that the cash was handed over. False if the same form said so before."""
    return _once(
        key,
        lambda: settling.set_status(
            payment_id=payment_id,
            command=SetStatus(status=PaymentStatus.SUCCESS),
            caller=caller,
            rule=_rule(caller, Deed.SETTLE_CASH, version, key),
        ),
    )


def hand_back(*, refund_id: int, version: int, key: Key, caller: Caller) -> bool:
    """The operator says that the refund was handed back. False if the same form said so before."""

    def may_be_settled(connection: Connection, payment: PaymentRow) -> None:
        # Before the key is claimed: what is refused must leave no claim.
        refunds.expect_a_persons(connection, payment, refund_id)

    return _once(
        key,
        lambda: refunds.set_status(
            refund_id=refund_id,
            command=SetRefundStatus(status=RefundStatus.SUCCESS),
            caller=caller,
            rule=_rule(caller, Deed.SETTLE_CASH, version, key, may_be_settled),
        ),
    )


def look_up(*, payment_id: int, version: int, key: Key, caller: Caller) -> bool:
    """Asks the providers at once about all that is open of the payment. False if the same form had
    them asked before."""
    numbers: list[int] = []

    def begin() -> None:
        with db.engine.begin() as connection:
            payment = standing.read(connection, payment_id, lock=True)
            _rule(caller, Deed.RESOLVE, version, key)(connection, payment)
            asked = upcoming.asked_of(rows.read_transactions(connection, payment_id))
            numbers.extend(one.number for one in asked if one.can_be_looked_up())

    done = _once(key, begin)
    for number in numbers if done else ():
        resolution.resolve(payment_id=payment_id, number=number, caller=caller)
    return done


def _rule(
    caller: Caller, deed: Deed, version: int, key: Key | None = None, also: Condition | None = None
) -> Condition:
    """The operator may do it, with the payment of that version, and `also` holds. With a `key` that
    is claimed in the same transaction."""

    def expect(connection: Connection, payment: PaymentRow) -> None:
        acting.hold(connection, caller, deed)
        standing.expect_version(payment, version)
        if also:
            also(connection, payment)
        if key is not None:
            idempotency.claim(
                connection,
                key,
                payment_id=payment["payment_id"],
                number=None,
                now=datetime.now(UTC),
                answer=_DONE,
            )

    return expect


def _once(key: Key, act: Callable[[], object]) -> bool:
    """Whether it was done now; what was done under the key before is not done again."""
    if idempotency.find(key):
        return False
    try:
        act()
    except (DomainError, Refused, idempotency.KeyTaken):
        # Sent twice at once: the other one's doing may be what refuses this one.
        if idempotency.find(key) is None:
            raise
        return False
    return True
