"""Creates, captures and cancels payments."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert

from payment_service import idempotency
from payment_service.domain import money
from payment_service.domain.callers import Caller
from payment_service.domain.errors import (
    CaptureExceedsAuthorized,
    IdempotencyKeyRequired,
    OperationInProgress,
    PaymentExists,
)
from payment_service.domain.jsontext import dumps
from payment_service.domain.states import Outcome as Word
from payment_service.domain.states import Trigger
from payment_service.domain.vocabulary import PaymentStatus, TransactionType
from payment_service.extensions import db
from payment_service.idempotency import Key
from payment_service.schemas.payments import detail_body
from payment_service.services import (
    amounts,
    drafts,
    due,
    moves,
    rows,
    settling,
    takeover,
    transitions,
)
from payment_service.services.answers import Answer
from payment_service.services.moves import Move
from payment_service.services.operations import charge_of, new_transaction, next_number
from payment_service.services.rows import PAYMENT, Row
from payment_service.services.transitions import News


def create(*, command: Mapping[str, Any], key: Key | None, caller: Caller) -> Answer:
    """Creates a PENDING payment. Raises PaymentExists, and what drafts.priced raises."""
    for _ in range(2):
        found = idempotency.find(key) if key else None
        if found and found.answer_status and found.answer_body:
            return Answer(found.answer_status, found.answer_body, replayed=True)
        try:
            return _create(command, key, caller)
        except idempotency.KeyTaken:
            continue
        except PaymentExists:
            if key is None or idempotency.find(key) is None:
                raise
            # The payment in the way is this key's own.
    raise OperationInProgress("requests with this key crowd each other; ask again")


def _create(command: Mapping[str, Any], key: Key | None, caller: Caller) -> Answer:
    payment = drafts.priced(command, caller)
    if command.get("provider"):
        payment["provider"] = drafts.route(command, payment["method"])[0].name
    payment |= {"status": PaymentStatus.PENDING, "version": 0}
    moment = payment["created_at"]
    with takeover.crowded(), db.engine.begin() as connection:
        due.expect_due(connection, payment)
        columns = {name: value for name, value in payment.items() if value is not None}
        payment["payment_id"] = connection.execute(
            insert(PAYMENT).values(columns).returning(PAYMENT.c.payment_id)
        ).scalar_one()
        change = transitions.plan(
            payment={**payment, "status": None},
            moment=moment,
            news=[News("payment.created", caller)],
            status=PaymentStatus.PENDING,
        )
        transitions.apply(connection, change)
        answer = Answer(201, dumps(detail_body(change.payment, [])))
        _keep(connection, key, payment["payment_id"], answer)
    return answer


def _keep(connection: Connection, key: Key | None, payment_id: int, answer: Answer) -> None:
    """Claims the key, if there is one, with its answer. Raises idempotency.KeyTaken."""
    if key:
        now, kept = datetime.now(UTC), (answer.status, answer.body)
        idempotency.claim(connection, key, payment_id=payment_id, number=None, now=now, answer=kept)


def capture(*, payment_id: int, command: Mapping[str, Any], key: Key, caller: Caller) -> Answer:
    """Takes held funds, all or a part; what is not taken is released.

    Raises PaymentNotFound, IllegalTransition, OperationInProgress, CaptureExceedsAuthorized, and
    PaymentExists where another payment pays for the trip or order: then it can only be cancelled.
    """

    def begin() -> Move:
        with takeover.crowded(), db.engine.begin() as connection:
            payment = settling.read(connection, payment_id, lock=True)
            _hold_free(connection, payment, PaymentStatus.SUCCESS)
            due.expect_due(connection, payment)
            amount = amounts.sent_amount(command, payment["currency"]) or payment["authorized"]
            if amount > payment["authorized"]:
                held = money.format_amount(payment["authorized"], payment["currency"])
                raise CaptureExceedsAuthorized(
                    f"only {held} {payment['currency']} is authorized",
                    {"amount": [f"must not be more than {held}"]},
                    authorized=held,
                )
            return begin_on_hold(
                connection,
                payment=payment,
                kind=TransactionType.CAPTURE,
                amount=amount,
                caller=caller,
                key=key,
                share=0,  # a hold that came in late pays now, and stands for the trip or order
            )

    return moves.once(key=key, caller=caller, begin=begin)


def cancel(
    *, payment_id: int, key: Key | None, caller: Caller, reason: str | None = None
) -> Answer:
    """PENDING -> CANCELLED at once, AUTHORIZED by a void; CANCELLED already is told again.

    Raises PaymentNotFound, IllegalTransition, OperationInProgress, IdempotencyKeyRequired.
    """
    found = idempotency.find(key) if key else None
    if key and found and (told := moves.resume(key=key, found=found, caller=caller)):
        return told
    with suppress(idempotency.KeyTaken):  # by another try of this request: `once` tells its answer
        if (done := _cancel_at_once(payment_id, key, caller, reason)) is not None:
            return done

    def begin() -> Move:
        with db.engine.begin() as connection:
            payment = settling.read(connection, payment_id, lock=True)
            _hold_free(connection, payment, PaymentStatus.CANCELLED)
            return begin_on_hold(
                connection,
                payment=payment,
                kind=TransactionType.VOID,
                amount=payment["authorized"],
                caller=caller,
                key=key,
            )

    return moves.once(key=key, caller=caller, begin=begin)


def begin_on_hold(
    connection: Connection,
    *,
    payment: Row,
    kind: TransactionType,
    amount: int,
    caller: Caller,
    key: Key | None,
    cause: str | None = None,
    number: int | None = None,
    **changes: Any,
) -> Move:
    """Begins a capture or void of the locked payment with the provider that holds the funds.

    `number` is that of a request which the provider has already, and a restore had lost."""
    earlier = rows.read_transactions(connection, payment["payment_id"])
    held_by = charge_of(earlier)
    transaction = new_transaction(
        payment=payment,
        number=number or next_number(earlier),
        kind=kind,
        amount=amount,
        provider=held_by["provider"] if held_by else payment["provider"],
        caller=caller,
        moment=datetime.now(UTC),
        cause=cause,
    )
    edge = transitions.edge_of(payment, kind, Word.ASKED)
    return moves.begin(
        connection,
        payment=payment,
        transaction=transaction,
        news=[News(edge.event, caller, cause, {"asked": kind})],
        caller=caller,
        key=key,
        status=edge.to,
        **changes,
    )


def _cancel_at_once(
    payment_id: int, key: Key | None, caller: Caller, reason: str | None
) -> Answer | None:
    """The answer where no provider needs to be asked, kept under the key; None where one may be.
    Raises idempotency.KeyTaken."""
    with db.engine.begin() as connection:
        payment = settling.read(connection, payment_id, lock=True)
        if payment["status"] == PaymentStatus.PENDING:
            edge = transitions.edge_of(payment, Trigger.PERSON, Word.CANCELLED)
            answer = settling.close(connection, payment, edge, caller, reason)
        elif payment["status"] == PaymentStatus.CANCELLED:
            transactions = rows.read_transactions(connection, payment_id)
            answer = Answer(200, dumps(detail_body(payment, transactions)))
        elif key is None:
            _hold_free(connection, payment, PaymentStatus.CANCELLED)
            raise IdempotencyKeyRequired(
                "cancelling an AUTHORIZED payment voids the hold: send an Idempotency-Key header"
            )
        else:
            return None
        _keep(connection, key, payment_id, answer)
        return answer


def _hold_free(connection: Connection, payment: Row, wanted: PaymentStatus) -> None:
    """Raises unless the payment holds funds and nothing else is under way with them."""
    if payment["status"] == PaymentStatus.AUTHORIZED:
        return
    transactions = rows.read_transactions(connection, payment["payment_id"])
    moving = transactions and transactions[-1]["type"] in ("CAPTURE", "VOID")
    if payment["status"] == PaymentStatus.PROCESSING and moving:
        raise OperationInProgress(
            f"a {transactions[-1]['type'].lower()} of this payment is under way; ask again later"
        )
    raise settling.illegal(payment, wanted)
