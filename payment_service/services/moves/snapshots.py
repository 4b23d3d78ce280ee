"""What an event keeps of the rows as its change left them, so that audit sees a row that was
changed behind its back. The hash chain covers it, and nobody is told of it.

A later column of payments or transactions is kept by itself, unless a table here names it. Rows of
before must then hold null in it, because their events say nothing of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, DateTime

from payment_service.domain import jsontext
from payment_service.domain.callers import Caller
from payment_service.services.moves.rows import (
    PAYMENT_COLUMNS,
    TRANSACTION,
    PaymentRow,
    TransactionRow,
)
from payment_service.services.moves.tokens import KeptToken, readable

UNSEEN = {
    ("transactions", "due_at"): "when to look up next; it moves with each look-up",
    ("transactions", "lookups"): "the worker's look-ups since the last news, for the next pause",
    ("transactions", "not_found_at"): "when a look-up first found nothing; one more must follow",
    ("transactions", "leased_until"): "the end of a look-up that is under way",
    ("transactions", "answered_ms"): "how long the provider took, for people",
    ("transactions", "http_status"): "the status that it answered with, for people",
    (
        "transactions",
        "answer",
    ): "what it answered, masked, for people; sealed anew with each key",
    ("transactions", "traceparent"): "which trace it began in, for who looks at traces",
    ("refund_requests", "expires_at"): "when it lapses, which gives nothing to anybody",
}
"""Columns whose change audit does not see, and why. The worker writes them without an event."""

UNSEEN_AT_TIMES = {
    ("payments", "share"): "while PENDING: an import of the trip's history moves it aside",
    (
        "transactions",
        "transaction_id",
    ): "while PROCESSING, and nothing was heard of it: PostgreSQL gives it after the event",
    ("refunds", "refund_id"): "of an imported payment: the file has none",
}
"""Columns whose change audit sees but for these rows."""

UNSEEN_UNTOLD = {
    *(("payments", name) for name in ("trip_id", "order_id", "rider_id", "driver_id", "user_id")),
    *(("payments", name) for name in ("method", "caller", "caller_reference", "payment_token")),
    *(("payments", name) for name in ("token", "metadata", "fare", "disputed", "charged_back")),
    *(("transactions", name) for name in ("transaction_id", "type", "request_id", "send_before")),
}
"""Columns whose change audit does not see while nothing was heard of a charge: its first event
comes with that, and its only request has no copy of these."""

OF_PAYMENT_ELSEWHERE = {
    *("payment_id", "trip_id", "order_id", "rider_id", "driver_id", "user_id"),
    *("reference", "purpose", "method", "provider", "status", "currency", "failure_code"),
    *("amount", "captured", "refunded"),
    *("version", "audit_head", "updated_at"),
    *("imported", "token"),
}
"""What the event's body or its own columns say already; and `imported`, which a payment's seal
says: events of before there was that column say nothing of it. `token` is told by the name
`payment_token`."""

OF_REQUEST_ELSEWHERE = {"payment_id", "reference", "currency"}
"""What follows from the payment: the reference is the payment's and the request's number."""

# Long, or a secret, or about a person: an event is for ever, so it keeps only a hash of these.
HASHED = {
    *("payment_token", "description", "metadata", "fare", "next_action", "failure_message"),
}

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Form = Callable[[Any], Any]


def plain(value: Any) -> Any:
    return value


def micros(moment: datetime | None) -> int | None:
    """Microseconds since 1970, whatever zone the moment is told in."""
    return None if moment is None else (moment - EPOCH) // _MICROSECOND


def hashed(value: Any) -> str | None:
    """128 bits of a SHA-256 over the text, the JSON text, or the token that is kept; None for
    nothing and for {}."""
    if isinstance(value, KeptToken):
        value = readable(value)
    if value is None or value == {}:
        return None
    text = value if isinstance(value, str) else jsontext.dumps(value)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _form(column: Column[Any]) -> Form:
    if column.name in HASHED:
        return hashed
    return micros if isinstance(column.type, DateTime) else plain


OF_PAYMENT: dict[str, Form] = {
    str(column.name): _form(column)  # SQLAlchemy's name is a kind of str, which JSON won't take
    for column in PAYMENT_COLUMNS
    if column.name not in OF_PAYMENT_ELSEWHERE
}
OF_REQUEST: dict[str, Form] = {
    str(column.name): _form(column)
    for column in TRANSACTION.c
    if column.name not in OF_REQUEST_ELSEWHERE and ("transactions", column.name) not in UNSEEN
}


def of(payment: PaymentRow, requests: Iterable[TransactionRow], by: Caller) -> str:
    """The JSON text that an event keeps. `requests` are those that its change began or ended, `by`
    is who made it: of an operator it keeps from where, because sister services hear the body."""
    content: dict[str, object] = {
        "payment": kept(payment, OF_PAYMENT),
        "requests": [kept(request, OF_REQUEST) for request in requests],
    }
    if by.session_id is not None:
        content["by"] = {"session_id": by.session_id, "address": by.address}
    return jsontext.dumps(content)


def kept(row: Mapping[str, Any], forms: Mapping[str, Form]) -> dict[str, object]:
    """The row's columns in these forms, those that are null left out."""
    found: dict[str, object] = {}
    # A request that is about to be written has no transaction_id yet.
    for name, form in forms.items():
        if (value := row.get(name)) is not None and (value := form(value)) is not None:
            found[name] = value
    return found
