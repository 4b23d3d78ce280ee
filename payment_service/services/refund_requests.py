"""Refunds by operators: up to the limits alone, and above them by asking, which another operator
decides on.

Every function reads who acts from the database (services/acting) and writes the act down with it.
They lock in one order: payment, request, operator, audit log. Raises what domain/four_eyes.py and
domain/pages.py name; each text is a sentence for the person who asked.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from sqlalchemy import Connection

from payment_service import idempotency
from payment_service.domain import four_eyes, jsontext
from payment_service.domain.acts import Act
from payment_service.domain.callers import Caller
from payment_service.domain.commands import RefundPayment
from payment_service.domain.errors import DomainError, IdempotencyKeyInProgress
from payment_service.domain.four_eyes import (
    Decided,
    NotByThisOne,
    OneIsOpen,
    RequestState,
    SecondPersonNeeded,
    ShownOtherwise,
)
from payment_service.domain.operators import Refused
from payment_service.domain.pages import Deed
from payment_service.extensions import db
from payment_service.idempotency import Key
from payment_service.services import (
    acting,
    makers,
    refund_limits,
    refunds,
)
from payment_service.services import refunds_asked_for as asked
from payment_service.services.moves import refund_holds, retries
from payment_service.services.moves.answers import Ended
from payment_service.services.moves.refund_holds import Approved, RefundRequestRow
from payment_service.services.moves.rows import PaymentRow
from payment_service.services.moves.steps import Move

_TRIES = 5
"""As of any key (services/moves/retries)."""
_DONE = 1
"""What is kept under the key of a form; nobody but this module reads it."""


def refund(
    *, payment_id: int, command: RefundPayment, version: int, key: Key, caller: Caller
) -> Ended:
    """Gives back what the operator may give back alone, as a caller of the API does: `amount`, or
    what is left, of the payment of that `version`.

    Raises as refunds.refund does, and SecondPersonNeeded above the limits.
    """

    def alone(connection: Connection, payment: PaymentRow, amount: int) -> None:
        who = acting.hold(connection, caller, Deed.REFUND)
        if why := refund_limits.why_not_alone(
            connection, payment=payment, amount=amount, operator=who.name
        ):
            raise SecondPersonNeeded(f"{why} Nothing was done; ask for the refund instead.")

    return refunds.refund(
        payment_id=payment_id,
        command=command,
        key=key,
        caller=caller,
        version=version,
        rule=alone,
    )


def why_not_alone(*, payment_id: int, command: RefundPayment, caller: Caller) -> str | None:
    """Why the operator would have to ask, in words; None if they may do it alone as things stand.
    Raises as `refund` does."""
    with db.engine.begin() as connection:
        payment, amount, _ = refunds.to_give_back(
            connection, payment_id=payment_id, sent=command.amount, version=None
        )
        return refund_limits.why_not_alone(
            connection, payment=payment, amount=amount, operator=caller.name
        )


def ask(
    *, payment_id: int, command: RefundPayment, version: int, key: Key, caller: Caller
) -> RefundRequestRow:
    """Has another operator decide on a refund of the payment of that `version`; until then the
    amount is held. Asked again under the same key it gives the same request.

    Raises as `refund` does but for the limits, and BadReason, OneIsOpen.
    """
    reason = four_eyes.clean_reason(command.reason) or ""
    for _ in range(_TRIES):
        if found := idempotency.find(key):
            return read(json.loads(found.answer_body or "{}")["request_id"])
        try:
            return _ask(payment_id, command, version, reason, key, caller)
        except idempotency.KeyTaken:
            continue
        except (DomainError, Refused):
            # Sent twice at once: the other one's doing may be what refuses this one.
            if idempotency.find(key) is None:
                raise
    raise IdempotencyKeyInProgress("requests with this key crowd each other; ask again")


def _ask(
    payment_id: int, command: RefundPayment, version: int, reason: str, key: Key, caller: Caller
) -> RefundRequestRow:
    with db.engine.begin() as connection:
        payment, amount, _ = refunds.to_give_back(
            connection, payment_id=payment_id, sent=command.amount, version=version
        )
        if refund_holds.find_open(connection, payment_id):
            raise OneIsOpen("A refund of this payment waits for a decision already.")
        acting.hold(connection, caller, Deed.ASK)
        request = refund_holds.ask(
            connection, payment=payment, amount=amount, reason=reason, caller=caller
        )
        idempotency.claim(
            connection,
            key,
            payment_id=payment_id,
            number=None,
            now=request["asked_at"],
            answer=(_DONE, jsontext.dumps({"request_id": request["request_id"]})),
        )
        asked.write(connection, Act.APPROVAL_ASKED, request, caller, reason)
    return request


def approve(
    *, request_id: int, shown: str, key: Key, caller: Caller, decision: str | None = None
) -> Ended:
    """Makes the refund of the request, as it was `shown` (four_eyes.shown): what was held for it is
    what is given back.

    Raises UnknownRequest, Decided, ShownOtherwise, NotByThisOne, StepUpFirst, and as refunds.refund
    does where the money can't be given back any more.
    """
    decision = four_eyes.clean_reason(decision, needed=False)

    def begin() -> Move:
        with db.engine.begin() as connection:
            payment, request = asked.locked(connection, request_id)
            _expect_open(request)
            _expect_shown(request, payment, shown)
            who = acting.hold(connection, caller, Deed.APPROVE, stepped_up=True)
            expect_another(request, who.name)
            if makers.are_one_hand(connection, request["asked_by"], who.name):
                raise NotByThisOne(
                    "Who asked for this refund made you what you are within 24 hours, or you them,"
                    " or somebody made both. Somebody else must decide."
                )
            approved = Approved(request, decision)
            move = refunds.begin_approved(connection, payment=payment, approved=approved,
                                          caller=caller, key=key)  # fmt: skip
            assert move.refund is not None
            refund_holds.turn_into(connection, approved, refund=move.refund, caller=caller)
            asked.write(connection, Act.APPROVAL_GIVEN, request, caller, decision)
            return move

    return retries.once(key=key, caller=caller, begin=begin)


def decline(*, request_id: int, shown: str, caller: Caller, decision: str) -> RefundRequestRow:
    """Says no to the request as it was `shown`, and why: what was held for it is free again.

    Raises UnknownRequest, Decided, ShownOtherwise, NotByThisOne, BadReason.
    """
    said = four_eyes.clean_reason(decision)
    with db.engine.begin() as connection:
        payment, request = asked.locked(connection, request_id)
        if _is_done(request, RequestState.DECLINED, caller):
            return request
        _expect_open(request)
        _expect_shown(request, payment, shown)
        who = acting.hold(connection, caller, Deed.DECLINE)
        expect_another(request, who.name)
        return asked.end(connection, payment, request, RequestState.DECLINED, caller, said)


def withdraw(*, request_id: int, caller: Caller, why: str | None = None) -> RefundRequestRow:
    """Takes back what the operator asked for. Raises UnknownRequest, Decided, NotByThisOne."""
    said = four_eyes.clean_reason(why, needed=False)
    with db.engine.begin() as connection:
        payment, request = asked.locked(connection, request_id)
        if _is_done(request, RequestState.WITHDRAWN, caller):
            return request
        _expect_open(request)
        who = acting.hold(connection, caller, Deed.WITHDRAW)
        if request["asked_by"] != who.name:
            raise NotByThisOne("Only who asked for a refund withdraws the request.")
        return asked.end(connection, payment, request, RequestState.WITHDRAWN, caller, said)


def read(request_id: int) -> RefundRequestRow:
    """The request as it stands. Raises UnknownRequest."""
    with db.engine.connect() as connection:
        return asked.known(refund_holds.read(connection, request_id))


def _is_done(request: RefundRequestRow, state: RequestState, caller: Caller) -> bool:
    """Whether the same one did the same before: a form that was sent twice."""
    return request["state"] == state and request["decided_by"] == caller.name


def _expect_open(request: RefundRequestRow) -> None:
    if request["state"] != RequestState.OPEN:
        raise Decided(
            f"This request is {request['state'].lower()}, by {request['decided_by']} at"
            f" {_minute(request['decided_at'])}. Nothing was done."
        )
    if request["expires_at"] <= datetime.now(UTC):
        raise Decided(
            f"Nobody decided on this request until {_minute(request['expires_at'])}. Nothing was"
            " done; whoever still wants the refund asks anew."
        )


def _minute(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else "an unknown time"


def _expect_shown(request: RefundRequestRow, payment: PaymentRow, shown: str) -> None:
    if four_eyes.shown(request, payment["version"]) != shown:
        raise ShownOtherwise(
            "The request or its payment is not as you saw it. Nothing was done; look again."
        )


def expect_another(request: RefundRequestRow, name: str) -> None:
    """Raises NotByThisOne if that one asked for it."""
    if request["asked_by"] == name:
        raise NotByThisOne("You asked for this refund yourself: somebody else must decide.")
