"""How a request ended, or stands, and the answer that is kept under its key.

What such an answer looks like is nobody's business here: the API registers who writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from flask import Flask, current_app
from sqlalchemy import Connection

from payment_service import idempotency
from payment_service.domain.vocabulary import RefundStatus, TransactionStatus
from payment_service.extensions import db
from payment_service.idempotency import Key
from payment_service.services.moves import pages, rows
from payment_service.services.moves.pages import Page
from payment_service.services.moves.rows import PaymentRow, RefundRow, TransactionRow
from payment_service.services.moves.transitions import Change


@dataclass(frozen=True)
class Answer:
    """What is kept under a key: a number and a text, which say something to their writer only."""

    status: int
    body: str


@dataclass(frozen=True)
class Ending:
    """The payment and its requests to providers, oldest first, as they stand at the end.

    `request` is the one that was made for what was asked; None where no provider had to be asked.
    `refund` is the refund that it is about. `created` says that the payment was made by it.
    `answer` is what the caller's key keeps, or (not `definite`) would keep; None without a key.
    `page` is what the provider gave for the payer, while that is waited for.
    `replayed`: the key had been used before, and this is how that request stands by now.
    """

    payment: PaymentRow
    transactions: Sequence[TransactionRow]
    request: TransactionRow | None = None
    refund: RefundRow | None = None
    page: Page | None = field(default=None, repr=False)
    created: bool = False
    answer: Answer | None = None
    replayed: bool = False

    @property
    def definite(self) -> bool:
        """Whether it ended; what is not sure, or waits for the payer, goes on by itself."""
        if self.refund is not None:
            return self.refund["status"] != RefundStatus.PENDING
        done = (TransactionStatus.SUCCESS, TransactionStatus.FAILED)
        return self.request is None or self.request["status"] in done


@dataclass(frozen=True)
class Replay:
    """The answer that a key keeps, its request having ended before. How the payment stands by now
    is not read; `tell` reads it, by `payment_id` and the request's `number`."""

    payment_id: int | None
    number: int | None
    answer: Answer


Ended = Ending | Replay

Writer = Callable[[Ending, Key], Answer]


def register(app: Flask, writer: Writer) -> None:
    """Has `writer` write the answers that keys keep. It must not read the database."""
    app.extensions["answers"] = writer


def written(ending: Ending, key: Key | None) -> Ending:
    """The ending with the answer that its key keeps, or is to keep; without a key as it is."""
    if key is None:
        return ending
    writer: Writer = current_app.extensions["answers"]
    return replace(ending, answer=writer(ending, key))


def of_change(change: Change, earlier: Sequence[TransactionRow]) -> Ending:
    """The end of the request whose outcome the change is. `earlier` are those before it."""
    if change.transaction is None:
        raise LookupError("the change is no request's outcome")
    requests = (*earlier, change.transaction)
    return Ending(change.payment, requests, change.transaction, change.refund, change.page)


def to_keep(ending: Ending) -> tuple[int, str] | None:
    """The answer, if there is one that is definite."""
    if ending.answer is None or not ending.definite:
        return None
    return ending.answer.status, ending.answer.body


def kept(found: idempotency.Found) -> Replay | None:
    """What a key keeps; None as long as its request may not have ended."""
    if found.answer_status is None or found.answer_body is None:
        return None
    answer = Answer(found.answer_status, found.answer_body)
    return Replay(found.payment_id, found.transaction_number, answer)


def tell(*, payment_id: int, number: int, key: Key | None) -> Ending:
    """What stands about the payment's request `number`; kept under the key if it is definite.

    The first answer that was kept wins.
    """
    with db.engine.begin() as connection:
        return tell_locked(connection, payment_id=payment_id, number=number, key=key)


def tell_locked(connection: Connection, *, payment_id: int, number: int, key: Key | None) -> Ending:
    """As `tell`, in the connection's transaction, which must end soon: it locks the payment."""
    # Locked, so that nobody moves it meanwhile: an answer that is kept must not show half a move.
    found = rows.lock_request(connection, payment_id, number)
    page = pages.page_of(found.payment, connection)
    ending = written(Ending(*found, page=page), key)
    if key is None or (answer := to_keep(ending)) is None:
        return ending
    status, body = idempotency.store(
        connection, key, payment_id=payment_id, status=answer[0], body=answer[1]
    )
    return replace(ending, answer=Answer(status, body))
