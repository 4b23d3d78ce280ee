"""What a provider answered over HTTP, for people who ask what happened: how long it took, its
status, and of all but a plain yes the body, masked and encrypted. It decides nothing."""

from __future__ import annotations

import json
from typing import TypedDict, cast

from sqlalchemy import Connection, LargeBinary, literal, update

from payment_service.http.hearing import Heard
from payment_service.models.columns import Encrypted, Secret
from payment_service.models.keyring import NoKey
from payment_service.providers import masked_bodies
from payment_service.providers.contract import Outcome, Result
from payment_service.services.moves.rows import TRANSACTION, TransactionRow

MOST = 8192
"""Bytes of a masked answer; those of the providers we know have less than 4 KB."""
CUT = " [cut]"
LARGEST = 1 << 16
"""Bytes of an answer that is masked; a page of a proxy's may be longer, and says nothing."""

_ANSWER = cast(Encrypted, TRANSACTION.c.answer.type)


class HeardColumns(TypedDict, total=False):
    """Of a request's row; nothing where nothing was heard."""

    answered_ms: int
    http_status: int
    answer: bytes | None


def columns(heard: Heard, transaction: TransactionRow, result: Result | None) -> HeardColumns:
    """What the request's row keeps. A plain yes has no body: it says what the row says, and most
    answers are that, so that a charge costs what it did."""
    if heard.ms is None or heard.status is None:
        return {}
    found: HeardColumns = {"answered_ms": heard.ms, "http_status": heard.status}
    if heard.body and (result is None or result.outcome is not Outcome.APPROVED):
        found["answer"] = sealed(heard.body, transaction["reference"], _ANSWER)
    return found


def sealed(body: bytes, row: str, column: Encrypted) -> bytes | None:
    """As the column keeps it for the row with this key; None without any key: it is no secret that
    is needed, and the outcome that came with it is."""
    try:
        return column.seal(Secret(row, masked(body)))
    except NoKey:
        return None


def masked(body: bytes) -> str:
    """The body masked, as text of at most MOST bytes, whatever it is."""
    if len(body) > LARGEST:
        return masked_bodies.only_its_size(body)
    found = masked_bodies.masked(body)
    return cut(found if isinstance(found, str) else json.dumps(found, ensure_ascii=False))


def cut(text: str) -> str:
    """With a mark where something is left out."""
    kept = text.encode(errors="replace")
    if len(kept) <= MOST:
        return kept.decode()
    return kept[: MOST - len(CUT)].decode(errors="ignore") + CUT


def write(connection: Connection, transaction: TransactionRow, kept: HeardColumns) -> None:
    """Keeps it where no outcome was written with it. Locks the request: the payment goes first."""
    if not kept:
        return
    values: dict[str, object] = {**kept}
    if kept.get("answer") is not None:
        values["answer"] = literal(kept["answer"], LargeBinary)  # sealed already
    connection.execute(
        update(TRANSACTION)
        .where(
            TRANSACTION.c.payment_id == transaction["payment_id"],
            TRANSACTION.c.number == transaction["number"],
        )
        .values(values)
    )
