"""The three steps of every move of money: begin, call, finish.

begin   one DB transaction: key claimed, payment moved, the request written with our reference
call    the provider, with nothing of the database held
finish  one DB transaction, through transitions: outcome, event, the caller's answer

Whoever dies between them leaves a row that says what was asked; resolution looks up the rest.
Nobody but the request that began ever sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, update

from payment_service import idempotency
from payment_service.config import settings
from payment_service.domain.callers import Caller
from payment_service.domain.errors import ProviderUnavailable
from payment_service.domain.payers import Said
from payment_service.domain.states import Verdict
from payment_service.domain.vocabulary import TransactionStatus, TransactionType
from payment_service.extensions import db
from payment_service.http import hearing
from payment_service.idempotency import Key
from payment_service.providers.contract import NotSent, Outcome, OutcomeUnknown, Result
from payment_service.services.moves import (
    answers,
    evidence,
    heard,
    outcomes,
    pages,
    rows,
    transitions,
    unsure,
)
from payment_service.services.moves.answers import Ending
from payment_service.services.moves.heard import HeardColumns
from payment_service.services.moves.operations import new_transaction, operation_of, providers
from payment_service.services.moves.rows import (
    TRANSACTION,
    PaymentChanges,
    PaymentRow,
    RefundRow,
    TransactionRow,
)
from payment_service.services.moves.transitions import News
from payment_service.statements import hot


@dataclass(frozen=True)
class Move:
    """A move that began: the rows as they stand, and who asked for it under which key.

    `refund` is what a request of type REFUND is about. `earlier` are the payment's older requests,
    for the answer. `fallbacks` are the providers to try if this one surely was not reached. `said`
    is what the caller said of the payer.
    """

    payment: PaymentRow
    transaction: TransactionRow
    caller: Caller
    key: Key | None = None
    refund: RefundRow | None = None
    earlier: tuple[TransactionRow, ...] = ()
    fallbacks: tuple[str, ...] = ()
    said: Said | None = None


def begin(
    connection: Connection,
    *,
    payment: PaymentRow,
    transaction: TransactionRow,
    earlier: Sequence[TransactionRow],
    news: Sequence[News],
    caller: Caller,
    key: Key | None,
    changes: PaymentChanges,
    refund: RefundRow | None = None,
    fallbacks: tuple[str, ...] = (),
    said: Said | None = None,
    before: PaymentRow | None = None,
) -> Move:
    """Begins a move of a payment that the connection's transaction holds locked: claims the key,
    changes the payment, writes the request. `earlier` are those before it, `before` is as in
    transitions.plan. Raises idempotency.KeyTaken."""
    moment = transaction["created_at"]
    if key is not None:
        idempotency.claim(
            connection,
            key,
            payment_id=payment["payment_id"],
            number=transaction["number"],
            now=moment,
        )
    change = transitions.plan(
        payment=payment,
        moment=moment,
        news=news,
        changes=changes,
        asked=transaction,
        before=before,
    )
    transitions.apply(connection, change)
    if said:
        reference = payment["reference"]
        pages.write_said(
            connection, payment_id=payment["payment_id"], reference=reference, said=said
        )
    written = connection.execute(
        insert(TRANSACTION).values(transaction).returning(TRANSACTION.c.transaction_id)
    ).scalar_one()
    return Move(
        change.payment,
        {**transaction, "transaction_id": written},
        caller,
        key,
        refund,
        tuple(earlier),
        fallbacks,
        said,
    )


def carry_out(move: Move) -> Ending:
    """Call and finish. The ending's answer is already kept, if it is definite.

    Raises ProviderUnavailable if surely nothing was sent to anyone.
    """
    with hearing.listening() as answer:
        said = _ask(move)
    result = said if isinstance(said, Result) else None
    kept = heard.columns(answer, move.transaction, result)
    if isinstance(said, NotSent):
        return _not_sent(move, said, kept)
    return finish(move, result, kept) if result else _leave_open(move, kept)


def _ask(move: Move) -> Result | NotSent | OutcomeUnknown:
    provider = providers().find(move.transaction["provider"])
    if provider is None:
        return NotSent(f"{move.transaction['provider']} is not on here")
    try:
        return provider.ask(operation_of(move.payment, move.transaction, move.earlier, move.said))
    except (NotSent, OutcomeUnknown) as error:
        return error


def finish(move: Move, result: Result, kept: HeardColumns) -> Ending:
    """Writes the outcome together with what was heard and the caller's answer, and gives it."""
    verdict = outcomes.verdict_of(result, move.transaction)
    if verdict is None:
        return _leave_open(move, kept, result)
    payment_id, number = move.payment["payment_id"], move.transaction["number"]
    change = outcomes.plan(
        payment=move.payment,
        transaction={**move.transaction, **kept},
        refund=move.refund,
        verdict=verdict,
        result=result,
        caller=move.caller,
        moment=datetime.now(UTC),
        others=move.earlier,
    )
    if change:
        ending = answers.written(answers.of_change(change, move.earlier), move.key)
        answer = answers.to_keep(ending)
        with hot() as connection:
            if transitions.apply_unless_moved(connection, change, key=move.key, answer=answer):
                return ending
    # It moves nothing from here, or the payment moved meanwhile.
    with db.engine.begin() as connection:
        about: dict[str, Any] = {
            "payment_id": payment_id,
            "number": number,
            "result": result,
            "caller": move.caller,
        }
        if evidence.accept_locked(connection, verdict=verdict, **about) is None:
            # A webhook was quicker, and may not have had the id or the page that this brings.
            unsure.keep_locked(connection, **about)
        heard.write(connection, move.transaction, kept)
        return answers.tell_locked(connection, payment_id=payment_id, number=number, key=move.key)


def _leave_open(move: Move, kept: HeardColumns, said: Result | None = None) -> Ending:
    """Nobody knows yet, and resolution asks again soon. Retries look up from now on. What the
    provider `said` all the same is kept, and what was heard of it."""
    again = datetime.now(UTC) + timedelta(seconds=settings().resolution_first_lookup_seconds)
    payment_id, number = move.payment["payment_id"], move.transaction["number"]
    with db.engine.begin() as connection:
        if said:
            unsure.keep_locked(
                connection, payment_id=payment_id, number=number, result=said, caller=move.caller
            )
        connection.execute(
            update(TRANSACTION)
            .where(
                TRANSACTION.c.payment_id == payment_id,
                TRANSACTION.c.number == number,
                TRANSACTION.c.status == TransactionStatus.PROCESSING,
            )
            .values(due_at=again)
        )
        heard.write(connection, move.transaction, kept)
        if move.key:
            idempotency.release(connection, move.key)
    return answers.tell(payment_id=payment_id, number=number, key=move.key)


def _not_sent(move: Move, error: NotSent, kept: HeardColumns) -> Ending:
    """Surely nobody was asked: the next provider in line is, or all is given back and the key is
    free again, unless its retry was told something by now."""
    payment_id, number = move.payment["payment_id"], move.transaction["number"]
    with db.engine.begin() as connection:
        if move.fallbacks and (again := _reroute(connection, move)):
            heard.write(connection, move.transaction, kept)
            next_move: Move | None = again
        else:
            next_move = None
            evidence.accept_locked(
                connection,
                payment_id=payment_id,
                number=number,
                verdict=Verdict.NOT_SENT,
                result=Result(Outcome.DECLINED, failure_message=str(error)),
                caller=move.caller,
            )
            heard.write(connection, move.transaction, kept)
            freed = move.key is None or idempotency.free(connection, move.key)
    if next_move:
        return carry_out(next_move)
    if not freed:
        return answers.tell(payment_id=payment_id, number=number, key=move.key)
    raise ProviderUnavailable(
        "the provider could not be asked; nothing was charged or moved, ask again later",
        payment_id=payment_id,
        retry_after=max(1, round(error.retry_after)),
    )


def _reroute(connection: Connection, move: Move) -> Move | None:
    """The move again, with the next provider in line and a fresh reference.

    None if others moved the payment, or a retry took the key over: whoever was paused that long
    sends nothing any more.
    """
    payment = rows.read_payment(connection, move.payment["payment_id"], lock=True)
    if payment is None or payment["version"] != move.payment["version"]:
        return None
    # As the caller sent it: what was read is encrypted.
    payment = {**payment, "payment_token": move.payment["payment_token"]}
    number = move.transaction["number"] + 1
    if move.key and not idempotency.point_to(connection, move.key, number=number):
        return None
    provider, *others = move.fallbacks
    failed: TransactionRow = {
        **move.transaction,
        "status": TransactionStatus.FAILED,
        "failure_code": "provider_unavailable",
        "due_at": None,
    }
    moment = datetime.now(UTC)
    fresh = new_transaction(
        payment=payment,
        number=number,
        kind=TransactionType(move.transaction["type"]),
        amount=move.transaction["amount"],
        provider=provider,
        caller=move.caller,
        moment=moment,
    )
    change = transitions.plan(
        payment=payment,
        moment=moment,
        news=[News("payment.rerouted", move.caller, failed["failure_code"])],
        transaction=failed,
        asked=fresh,
        changes={"provider": provider},
    )
    transitions.apply(connection, change)
    fresh["transaction_id"] = connection.execute(
        insert(TRANSACTION).values(fresh).returning(TRANSACTION.c.transaction_id)
    ).scalar_one()
    return replace(
        move,
        payment=change.payment,
        transaction=fresh,
        earlier=(*move.earlier, failed),
        fallbacks=tuple(others),
    )
