"""One payment's rows in payments, transactions and refunds against what its events say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from payment_service.domain.references import transaction_reference
from payment_service.domain.vocabulary import DEAD
from payment_service.services import audit_imports
from payment_service.services.audit_chain import UNREADABLE, Mismatch, Told, as_told, follow
from payment_service.services.audit_reading import Books
from payment_service.services.moves import paid_twice
from payment_service.services.moves.rows import PaymentRow, RefundRow, TransactionRow
from payment_service.services.moves.snapshots import HASHED, OF_REQUEST, kept


@dataclass(frozen=True)
class Broken:
    """A row that does not fit. `row` says which, `column` where one is to be named."""

    payment_id: int
    row: str
    what: str
    column: str | None = None

    def __str__(self) -> str:
        return f"payment {self.payment_id}, {self.row}: {self.what}"


_PAYMENT = "its row in payments"


def check(books: Books) -> Iterator[Broken]:
    """All that does not fit. Where the chain itself is broken only that: it says nothing then."""
    for row, what, column in _faults(books):
        yield Broken(books.payment_id, row, what, column)


_Found = Iterator[tuple[str, str, str | None]]


def _faults(books: Books) -> _Found:
    payment = books.payment
    if payment is None:
        others = ("events", "requests", "refunds", "refund_requests", "seal")
        left = ", ".join(name for name in others if getattr(books, name))
        what = f"it is gone, or its payment_id is another now; there are still its {left}"
        yield _PAYMENT, what, "payment_id"
        return
    try:
        sealed = audit_imports.payment_of(books.seal) if books.seal else None
    except UNREADABLE as error:
        yield "its row in import_seals", f"its content can't be read: {error!r}", "content"
        return
    yield from _generated(payment)
    yield from _marked(books, payment)
    if books.events:
        told = follow(books.events, sealed and as_told(sealed))
        if isinstance(told, Mismatch):
            yield f"its row in events, event {told.seq}", told.what, told.column
            return
        yield from _told(books, payment, told)
    elif payment["audit_head"] is not None:
        what = "it has an audit_head, but all its events are gone, or have another payment_id"
        yield _PAYMENT, what, "audit_head"
        return
    elif sealed:
        yield from _sealed(books, payment, sealed)
    else:
        yield from _untold(books, payment)
    yield from _sums(books, payment)
    if not books.events:
        yield from _asked(books, {})


def _generated(payment: PaymentRow) -> _Found:
    """What PostgreSQL makes of the status by itself, as long as nobody tells it otherwise."""
    status = payment["status"]
    said = {
        "live": status not in DEAD,
        "rare_status": None if status in ("PROCESSING", "SUCCESS") else status,
    }
    yield from _differing(_PAYMENT, payment, said, f"its status {status}")


def _marked(books: Books, payment: PaymentRow) -> _Found:
    """What an import brought is marked, and has a seal. Only what a charge had taken over before
    there were seals has none; then its caller tells."""
    sealed = books.seal is not None
    if sealed or payment["caller"] != audit_imports.CALLER:
        yield from _differing(
            _PAYMENT, payment, {"imported": sealed}, "its seal, or the lack of one,"
        )


def _told(books: Books, payment: PaymentRow, told: Told) -> _Found:
    stands = {**as_told(payment), "audit_head": payment["audit_head"]}
    if payment["audit_head"] is None or bytes(payment["audit_head"]) != told.payment["audit_head"]:
        what = (
            "its audit_head is not the last event's hash; or events were taken from the end, or"
            " their payment_id or seq is another now"
        )
        yield _PAYMENT, what, "audit_head"
    said = {name: value for name, value in told.payment.items() if name != "audit_head"}
    if payment["status"] == "PENDING":
        # An import that brings the trip's history moves it aside, which is no news of it.
        said.pop("share", None)
    yield from _differing(_PAYMENT, stands, said, "its last event")
    yield from _requests(books, payment, told)
    yield from _refunds(books, told)
    yield from _asked(books, told.refund_requests)


def _requests(books: Books, payment: PaymentRow, told: Told) -> _Found:
    there = {row["number"]: row for row in books.requests}
    for missing in sorted(told.mentioned - set(there)):
        what = "events speak of it, but it is gone, or its number or payment_id is another now"
        yield _request(missing), what, "number"
    for number, row in there.items():
        yield from _follows_from(payment, row)
        if (said := told.requests.get(number)) is not None:
            yield from _kept_request(row, said)
        elif number not in told.mentioned and not (told.bare and _open(row, payment)):
            yield _request(number), "no event speaks of it", None


def _kept_request(row: TransactionRow, said: Mapping[str, Any]) -> _Found:
    # What begins a request is written before PostgreSQL gives it an id.
    names = [name for name in OF_REQUEST if name != "transaction_id" or name in said]
    wanted = {name: said.get(name) for name in names}
    stands = {**dict.fromkeys(names), **kept(row, OF_REQUEST)}
    yield from _differing(_request(row["number"]), stands, wanted, "the last event about it")


def _follows_from(payment: PaymentRow, row: TransactionRow) -> _Found:
    """What every request has of its payment, whether an event says so or not."""
    said = {
        "reference": transaction_reference(payment["reference"], row["number"]),
        "currency": payment["currency"],
    }
    yield from _differing(_request(row["number"]), row, said, "its payment")


def _open(row: TransactionRow, payment: PaymentRow) -> bool:
    """A request that was begun while no event spoke of beginnings, and has not ended yet."""
    at_work = payment["status"] in ("PROCESSING", "REQUIRES_ACTION")
    return at_work and row["status"] == "PROCESSING" and row["type"] != "REFUND"


def _refunds(books: Books, told: Told) -> _Found:
    requests = {row["number"]: row for row in books.requests}
    missing = dict(told.refunds)
    for row in books.refunds:
        number = row["transaction_number"] or 0  # no request has that number
        request: Mapping[str, object] | None = requests.get(number)
        if (said := missing.pop(number, None)) is None:
            what = "no event speaks of it, or its transaction_number is another now"
            yield _refund(row), what, "transaction_number"
            continue
        yield from _differing(_refund(row), row, said, "the last event about it")
        same = ("currency", "provider_reference", "failure_code", "failure_message", "amount")
        wanted = {name: request[name] for name in same} if request else {}
        yield from _differing(_refund(row), row, wanted, "its request")
    for number in missing:
        what = (
            "events speak of it, but it is gone, or its transaction_number or payment_id is"
            " another now"
        )
        yield f"the row in refunds of request {number}", what, "transaction_number"


def _asked(books: Books, told: Mapping[int, Mapping[str, Any]]) -> _Found:
    """The refunds that were asked for. When one lapses is for the worker, as a look-up's time."""
    missing = dict(told)
    for row in books.refund_requests:
        name = f"its row in refund_requests, request_id {row['request_id']}"
        if (said := missing.pop(row["request_id"], None)) is None:
            what = "no event speaks of it, or its request_id or payment_id is another now"
            yield name, what, "request_id"
            continue
        yield from _differing(name, row, said, "the last event about it")
    for number in missing:
        what = "events speak of it, but it is gone, or its request_id or payment_id is another now"
        yield f"the row in refund_requests {number}", what, "request_id"


def _sealed(books: Books, payment: PaymentRow, said: Mapping[str, Any]) -> _Found:
    """Checks an imported payment to which nothing has happened here."""
    wanted: dict[str, Any] = {name: said[name] for name in said if name != "audit_head"}
    if said["status"] == "PENDING":
        wanted.pop("share")  # a later import may have moved it aside
    yield from _differing(_PAYMENT, payment, wanted, "the import")
    for row in books.requests:
        yield _request(row["number"]), "the import wrote none", None
    expected = audit_imports.refunds_of(said)
    for refund, written in zip(books.refunds, expected, strict=False):
        yield from _differing(_refund(refund), refund, written, "the import")
    for refund in books.refunds[len(expected) :]:
        yield _refund(refund), "the import did not write it", None
    if len(books.refunds) < len(expected):
        yield "its row in refunds", "it is gone, or its payment_id is another now", "payment_id"


_BLANK = (
    *("parent_payment_id", "provider_reference", "authorization_code", "failure_code"),
    *("failure_message", "next_action", "completed_at", "captured_at", "expires_at"),
)
_NOUGHT = ("share", "authorized", "captured", "refunded", "refund_pending")
_NO_OUTCOME = (
    *("amount_approved", "provider_account", "provider_reference", "fee", "failure_code"),
    *("failure_message", "cause", "occurred_at"),
)


def _untold(books: Books, payment: PaymentRow) -> _Found:
    """No event, and not imported: only a charge whose first request is under way is that."""
    if payment["status"] != "PROCESSING" or payment["version"] != 1:
        what = f"its status is {payment['status']}, its version {payment['version']}"
        yield _PAYMENT, f"{what}, and no event says so; nor was it imported", "status"
        return
    said = {
        **dict.fromkeys(_BLANK),
        **dict.fromkeys(_NOUGHT, 0),
        "purpose": "FARE",
        "updated_at": payment["created_at"],
    }
    yield from _differing(_PAYMENT, payment, said, "a charge that has no outcome yet")
    first = next(iter(books.requests), None)
    if first is None:
        yield _request(1), "the payment is being charged, but its request is gone", "number"
        return
    stands: Mapping[str, object] = payment
    same = ("amount", "currency", "provider", "created_at", "description")
    wanted = {
        **{name: stands[name] for name in same},
        **dict.fromkeys(_NO_OUTCOME),
        "number": 1,
        "reference": transaction_reference(payment["reference"], 1),
        "status": "PROCESSING",
    }
    yield from _differing(_request(first["number"]), first, wanted, "its payment")
    for row in books.requests[1:]:
        yield _request(row["number"]), "no event speaks of it", None
    for refund in books.refunds:
        yield _refund(refund), "no event speaks of it", None


def _sums(books: Books, payment: PaymentRow) -> _Found:
    # What gives back a charge beside the payment's amounts is none of them.
    beside = {row["number"] for row in books.requests if paid_twice.is_beside(row)}
    own = [row for row in books.refunds if row["transaction_number"] not in beside]
    sums = {"refunded": payment["refunded"], "refund_pending": payment["refund_pending"]}
    held = [row["amount"] for row in books.refund_requests if row["state"] == "OPEN"]
    for column, status in (("refunded", "SUCCESS"), ("refund_pending", "PENDING")):
        total = sum(row["amount"] for row in own if row["status"] == status)
        tables = "refunds"
        if held and column == "refund_pending":
            total, tables = total + sum(held), "refunds and refund_requests"
        if sums[column] != total:
            what = f"its {column} is {sums[column]}, its rows in {tables} add up to {total}"
            yield _PAYMENT, what, column


def _differing(row: str, stands: Mapping[str, Any], said: Mapping[str, Any], who: str) -> _Found:
    for name, value in said.items():
        if (found := stands[name]) != value:
            if name in HASHED:  # nor is a log the place for them
                what = f"its {name} is not what {who} says"
            else:
                what = f"its {name} is {_shown(found)}, {who} says {_shown(value)}"
            yield row, what, name


def _request(number: int) -> str:
    return f"its row in transactions, number {number}"


def _refund(row: RefundRow) -> str:
    return f"its row in refunds, refund_id {row['refund_id']}"


def _shown(value: Any) -> str:
    """A value as one line shows it: JSON, and a moment as ISO 8601."""
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)
