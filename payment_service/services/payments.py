"""Creates and cancels payments."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, insert

from payment_service import idempotency
from payment_service.domain.callers import Caller
from payment_service.domain.commands import Cancel, Create
from payment_service.domain.errors import (
    DomainError,
    IdempotencyKeyRequired,
    OperationInProgress,
    PaymentExists,
)
from payment_service.domain.operators import Refused
from payment_service.domain.states import Trigger, Verdict
from payment_service.domain.vocabulary import PaymentStatus, TransactionType
from payment_service.extensions import db
from payment_service.idempotency import Key
from payment_service.services import holds, pricing, routing, settling, standing
from payment_service.services.moves import answers, due, retries, rows, tokens, transitions
from payment_service.services.moves.answers import Ended, Ending
from payment_service.services.moves.rows import PAYMENT
from payment_service.services.moves.steps import Move
from payment_service.services.moves.transitions import News


def create(*, command: Create, key: Key | None, caller: Caller) -> Ended:
    """Creates a PENDING payment. Raises PaymentExists, and what pricing.priced raises."""
    for _ in range(2):
        found = idempotency.find(key) if key else None
        if found and (replay := answers.kept(found)):
            return replay
        try:
            return _create(command, key, caller)
        except idempotency.KeyTaken:
            continue
        except PaymentExists:
            if key is None or idempotency.find(key) is None:
                raise
            # The payment in the way is this key's own.
    raise OperationInProgress("requests with this key crowd each other; ask again")


def _create(command: Create, key: Key | None, caller: Caller) -> Ending:
    tokens.expect_keepable(command.payment_token)
    payment = pricing.priced(command, caller)
    if command.provider:
        payment["provider"] = routing.route(command, payment)[0].name
    payment["status"], payment["version"] = PaymentStatus.PENDING, 0
    moment = payment["created_at"]
    with due.crowded(), db.engine.begin() as connection:
        due.expect_due(connection, payment)
        columns = {name: value for name, value in payment.items() if value is not None}
        del columns["payment_id"]  # PostgreSQL gives it
        if command.payment_token is not None:
            del columns["payment_token"]
            columns["token"] = tokens.secret(command.payment_token, payment["reference"])
        payment["payment_id"] = connection.execute(
            insert(PAYMENT).values(columns).returning(PAYMENT.c.payment_id)
        ).scalar_one()
        change = transitions.plan(
            payment=payment,
            moment=moment,
            news=[News("payment.created", caller)],
            changes={},
            new=True,
        )
        transitions.apply(connection, change)
        return _keep(connection, key, Ending(change.payment, (), created=True))


def _keep(connection: Connection, key: Key | None, ending: Ending) -> Ending:
    """Claims the key, if there is one, with its answer. Raises idempotency.KeyTaken."""
    if key:
        ending = answers.written(ending, key)
        idempotency.claim(
            connection,
            key,
            payment_id=ending.payment["payment_id"],
            number=None,
            now=datetime.now(UTC),
            answer=answers.to_keep(ending),
        )
    return ending


def cancel(
    *,
    payment_id: int,
    command: Cancel,
    key: Key | None,
    caller: Caller,
    rule: standing.Condition | None = None,
) -> Ended:
    """PENDING -> CANCELLED at once, AUTHORIZED by a void; CANCELLED already is told again.

    Raises PaymentNotFound, IllegalTransition, OperationInProgress, IdempotencyKeyRequired, and what
    the `rule` raises.
    """
    found = idempotency.find(key) if key else None
    if key and found and (told := retries.resume(key=key, found=found, caller=caller)):
        return told
    try:
        if (done := _cancel_at_once(payment_id, key, caller, command.reason, rule)) is not None:
            return done
    except idempotency.KeyTaken:
        pass  # by another try of this request: `once` tells its answer
    except (DomainError, Refused):
        # What refuses this try may be the other one's doing, as for any move.
        if key is None or idempotency.find(key) is None:
            raise

    def begin() -> Move:
        with db.engine.begin() as connection:
            payment = standing.read(connection, payment_id, lock=True)
            if rule:
                rule(connection, payment)
            holds.expect_free(connection, payment, PaymentStatus.CANCELLED)
            return holds.begin_on_hold(
                connection,
                payment=payment,
                earlier=rows.read_transactions(connection, payment_id),
                kind=TransactionType.VOID,
                amount=payment["authorized"],
                caller=caller,
                key=key,
            )

    return retries.once(key=key, caller=caller, begin=begin)


def _cancel_at_once(
    payment_id: int,
    key: Key | None,
    caller: Caller,
    reason: str | None,
    rule: standing.Condition | None,
) -> Ending | None:
    """The ending where no provider needs to be asked, kept under the key; None where one may be.
    Raises idempotency.KeyTaken."""
    with db.engine.begin() as connection:
        payment = standing.read(connection, payment_id, lock=True)
        if rule:
            rule(connection, payment)
        if payment["status"] == PaymentStatus.PENDING:
            edge = transitions.edge_of(payment, Trigger.PERSON, Verdict.CANCELLED)
            ending = settling.close(connection, payment, edge, caller, reason)
        elif payment["status"] == PaymentStatus.CANCELLED:
            transactions = rows.read_transactions(connection, payment_id)
            ending = Ending(payment, transactions)
        elif key is None:
            holds.expect_free(connection, payment, PaymentStatus.CANCELLED)
            raise IdempotencyKeyRequired(
                "cancelling an AUTHORIZED payment voids the hold: send an Idempotency-Key header"
            )
        else:
            return None
        return _keep(connection, key, ending)
