"""Charges a finished trip or an order: the hot path of the house."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from psycopg2.errors import NotNullViolation, UniqueViolation
from sqlalchemy import Connection, or_, select, update
from sqlalchemy.exc import IntegrityError

from payment_service import idempotency, trips
from payment_service.config import settings
from payment_service.domain.callers import Caller
from payment_service.domain.errors import (
    IllegalTransition,
    InvalidRequest,
    PaymentExists,
    PaymentNotFound,
)
from payment_service.domain.fares import Fare
from payment_service.domain.references import payment_reference
from payment_service.domain.states import Outcome as Word
from payment_service.domain.vocabulary import (
    Method,
    PaymentStatus,
    Purpose,
    TransactionType,
)
from payment_service.extensions import db
from payment_service.idempotency import Key
from payment_service.providers.contract import Provider
from payment_service.services import amounts, moves, rows, transitions
from payment_service.services.answers import Answer
from payment_service.services.moves import Move
from payment_service.services.operations import new_transaction, providers
from payment_service.services.rows import PAYMENT, PAYMENT_COLUMNS, Row, dumped
from payment_service.services.transitions import News
from payment_service.statements import Statement, hot

# Claim of the key, payment and request in one statement: all, or nothing at all. A live payment
# for the trip or the order (any unique index) leaves `p` empty; the scalar sub-select then makes
# payment_id null in the request, and that violation takes the claim of the key back with it.
# Nothing returned means that the key was claimed by another request while this one waited.
_BEGIN = Statement(
    "begin_charge",
    """
    WITH n AS (
        SELECT nextval(pg_get_serial_sequence('payments', 'payment_id')) AS payment_id
    ), k AS (
        INSERT INTO idempotency_keys (caller, operation, key, fingerprint, payment_id,
            transaction_number, locked_until, created_at, expires_at)
        SELECT :caller, :operation, :key, :fingerprint, n.payment_id, 1, :locked_until, :now,
            :key_expires_at FROM n
        ON CONFLICT (caller, operation, key) DO UPDATE SET
            fingerprint = EXCLUDED.fingerprint, payment_id = EXCLUDED.payment_id,
            transaction_number = 1, locked_until = EXCLUDED.locked_until,
            answer_status = NULL, answer_body = NULL, created_at = EXCLUDED.created_at,
            expires_at = EXCLUDED.expires_at
        WHERE idempotency_keys.expires_at <= :now AND idempotency_keys.answer_body IS NOT NULL
        RETURNING payment_id
    ), p AS (
        INSERT INTO payments (payment_id, trip_id, order_id, rider_id, driver_id, user_id, amount,
            currency, method, provider, status, reference, caller, caller_reference,
            payment_token, description, metadata, fare, created_at, updated_at)
        SELECT k.payment_id, :trip_id, :order_id, :rider_id, :driver_id, :user_id, :amount,
            :currency, :method, :provider, 'PROCESSING', :reference, :caller, :caller_reference,
            :payment_token, :description, :metadata, :fare, :now, :now FROM k
        ON CONFLICT DO NOTHING RETURNING payment_id
    ), t AS (
        INSERT INTO transactions (payment_id, number, type, status, amount, currency, provider,
            reference, description, request_id, created_at, send_before, due_at)
        SELECT (SELECT payment_id FROM p), 1, :type, 'PROCESSING', :amount, :currency, :provider,
            :t_reference, :description, :request_id, :now, :send_before, :due_at FROM k
        RETURNING payment_id, transaction_id
    )
    SELECT payment_id, transaction_id FROM t
    """,
    {
        **dict.fromkeys(("trip_id", "order_id", "rider_id", "driver_id", "user_id"), "bigint"),
        **dict.fromkeys(("now", "locked_until", "key_expires_at", "send_before"), "timestamptz"),
        **dict.fromkeys(("caller", "operation", "key", "fingerprint", "currency"), "text"),
        **dict.fromkeys(("method", "provider", "reference", "caller_reference"), "text"),
        **dict.fromkeys(("payment_token", "description", "type", "t_reference"), "text"),
        "amount": "bigint",
        "metadata": "json",
        "fare": "json",
        "request_id": "text",
        "due_at": "timestamptz",
    },
)

COPIED = (
    "trip_id",
    "order_id",
    "rider_id",
    "driver_id",
    "user_id",
    "payment_token",
    "description",
)


def charge(*, command: Mapping[str, Any], key: Key, caller: Caller) -> Answer:
    """Charges the trip's fare or the order's amount, once, whatever is repeated or dies.

    Raises domain errors; api/errors.py has their statuses.
    """
    # A trip is asked for its fare first, so a finished key is worth a look before that. An order
    # is not, and its begin finds the key claimed just as well: one round trip less.
    return moves.once(
        key=key,
        caller=caller,
        begin=lambda: _begin(command, key, caller),
        look_first="trip_id" in command,
    )


def charge_pending(
    *, payment_id: int, command: Mapping[str, Any], key: Key, caller: Caller
) -> Answer:
    """Charges a payment that was created and is PENDING."""

    def begin() -> Move:
        with db.engine.begin() as connection:
            payment = rows.read_payment(connection, payment_id, lock=True)
            if payment is None:
                raise PaymentNotFound(f"there is no payment {payment_id}")
            if payment["status"] != PaymentStatus.PENDING:
                raise IllegalTransition(
                    f"payment {payment_id} is {payment['status']}; only PENDING can be charged",
                    **{"from": payment["status"], "to": PaymentStatus.PROCESSING},
                )
            wanted = {**command, "method": method_of(command) or payment["method"]}
            return _take_over(connection, payment, wanted, key, caller)

    return moves.once(key=key, caller=caller, begin=begin)


def draft(command: Mapping[str, Any], caller: Caller, moment: datetime) -> Row:
    """A payment row of what was sent, with no amount yet and not written anywhere."""
    empty = dict.fromkeys((column.name for column in PAYMENT_COLUMNS), None)
    zero = dict.fromkeys(("authorized", "captured", "refunded", "refund_pending", "share"), 0)
    return {
        **empty,
        **zero,
        **{name: command.get(name) for name in COPIED},
        "purpose": Purpose.FARE,
        "currency": command.get("currency") or settings().default_currency,
        "method": method_of(command) or Method.CARD,
        "status": PaymentStatus.PROCESSING,
        "reference": payment_reference(moment),
        "caller": caller.name,
        "caller_reference": command.get("reference"),
        "metadata": command.get("metadata") or {},
        "version": 1,
        "created_at": moment,
        "updated_at": moment,
    }


def method_of(command: Mapping[str, Any]) -> str | None:
    """The method under either of its names. Raises InvalidRequest if they differ."""
    method, other = command.get("method"), command.get("payment_method")
    if method and other and method != other:
        raise InvalidRequest.field("payment_method", "differs from method; send one of them")
    return method or other


def route(command: Mapping[str, Any], method: str) -> list[Provider]:
    """Who is asked, in order. Raises InvalidRequest if nobody takes it."""
    named = command.get("provider")
    found = [providers().find(named)] if named else providers().route(method)
    able = [provider for provider in found if provider and method in provider.methods]
    if not able and named:
        raise InvalidRequest.field("provider", f"{named} is not on here, or takes no {method}")
    if not able:
        raise InvalidRequest.field("method", f"no provider takes {method} here")
    kind = type_of(command)
    willing = [provider for provider in able if kind in provider.capabilities]
    if not willing:
        raise InvalidRequest.field("capture", f"{method} can't be held for a later capture")
    return willing


def type_of(command: Mapping[str, Any]) -> TransactionType:
    """A charge, or (capture=false) an authorization."""
    held = command.get("capture") is False
    return TransactionType.AUTHORIZATION if held else TransactionType.CHARGE


def _begin(command: Mapping[str, Any], key: Key, caller: Caller) -> Move:
    """Begins the charge of a new payment, or of the PENDING one that the trip or order has."""
    if "trip_id" not in command and "order_id" not in command:
        raise InvalidRequest.field("trip_id", "send trip_id or order_id")
    willing = route(command, method_of(command) or Method.CARD)
    payment, fare = _priced(command, caller)
    _expect_driver(payment, payment["method"])
    moment = payment["created_at"]
    payment["provider"] = willing[0].name
    transaction = new_transaction(
        payment=payment,
        number=1,
        kind=type_of(command),
        amount=payment["amount"],
        provider=willing[0].name,
        caller=caller,
        moment=moment,
    )
    times = idempotency.lifetime(moment)
    values = {
        **transaction,
        **payment,
        **key.columns(),
        "fingerprint": key.fingerprint,
        "locked_until": times["locked_until"],
        "key_expires_at": times["expires_at"],
        "now": moment,
        "t_reference": transaction["reference"],
        "metadata": dumped(payment["metadata"]),
        "fare": dumped(payment["fare"]),
    }
    try:
        with hot() as connection:
            written = _BEGIN.one(connection, values)
    except NotNullViolation:
        try:
            return _take_over_live(payment, fare, command, key, caller)
        except IntegrityError as late:
            if not isinstance(late.orig, UniqueViolation):
                raise
            # The payment takes on the trip or the order too, and another got that just now.
            raise idempotency.KeyTaken from late
    if written is None:
        raise idempotency.KeyTaken
    payment["payment_id"], transaction["transaction_id"] = written
    transaction["payment_id"] = payment["payment_id"]
    fallbacks = tuple(provider.name for provider in willing[1:])
    return Move(payment, transaction, caller, key, fallbacks=fallbacks)


def _priced(command: Mapping[str, Any], caller: Caller) -> tuple[Row, Fare | None]:
    """The payment to be with its amount: the trip's fare if the trip service is there to say."""
    if "trip_id" in command and settings().trip_service_url:
        trip = trips.ask(trip_id=command["trip_id"], currency=command.get("currency"))
        payment = draft(command, caller, datetime.now(UTC))
        payment["currency"] = trip.fare.currency
        payment["rider_id"] = payment["rider_id"] or trip.rider_id
        payment["driver_id"] = payment["driver_id"] or trip.driver_id
        payment["amount"] = trip.fare.total
        payment["fare"] = trip.fare.as_json() | trip.zones
        amounts.expect(command, trip.fare.currency, trip.fare.total)
        if trip.fare.total <= 0:
            raise InvalidRequest.field(
                "trip_id", "the trip's fare is 0; there is nothing to charge"
            )
    else:
        payment = draft(command, caller, datetime.now(UTC))
        payment["amount"] = amounts.required_amount(command, payment["currency"])
        trip = None
    return payment, trip.fare if trip else None


def _expect_driver(payment: Row, method: str) -> None:
    """Raises InvalidRequest if the trip's cash has nobody who took it."""
    if method == Method.CASH and payment["trip_id"] and not payment["driver_id"]:
        raise InvalidRequest.field("driver_id", "CASH for a trip needs the driver who took it")


def _take_over_live(
    payment: Row, fare: Fare | None, command: Mapping[str, Any], key: Key, caller: Caller
) -> Move:
    """The trip or the order has a live payment: a PENDING one is charged, another refuses.

    Raises PaymentExists, AmountMismatch, KeyTaken.
    """
    with db.engine.begin() as connection:
        live = _lock_live(connection, payment)
        if not live:
            raise idempotency.KeyTaken  # it died meanwhile: begin again
        for other in live[1:] or live:
            if len(live) > 1 or other["status"] != PaymentStatus.PENDING:
                raise PaymentExists(
                    f"payment {other['payment_id']} is {other['status']} for this trip or order",
                    payment_id=other["payment_id"],
                    payment_status=other["status"],
                )
        standing = live[0]
        for name in ("trip_id", "order_id"):
            if None not in (standing[name], payment[name]) and standing[name] != payment[name]:
                raise PaymentExists(
                    f"payment {standing['payment_id']} is for {name} {standing[name]}",
                    payment_id=standing["payment_id"],
                    payment_status=standing["status"],
                )
        if standing["provider"] == "import":
            standing |= {"amount": payment["amount"], "currency": payment["currency"]}
        elif fare is not None or "amount" in command or "amount_minor" in command:
            sent = {"amount_minor": payment["amount"]}
            if payment["currency"] != standing["currency"]:
                raise InvalidRequest.field("currency", f"the payment is in {standing['currency']}")
            amounts.expect(sent, standing["currency"], standing["amount"])
        for name in (*COPIED, "caller_reference", "fare"):
            standing[name] = payment[name] if payment[name] is not None else standing[name]
        standing["metadata"] = payment["metadata"] or standing["metadata"]
        wanted = {**command, "method": payment["method"]}
        return _take_over(connection, standing, wanted, key, caller)


def _lock_live(connection: Connection, payment: Row) -> list[Row]:
    wanted = [
        PAYMENT.c[column] == payment[column]
        for column in ("trip_id", "order_id")
        if payment[column] is not None
    ]
    query = (
        select(*PAYMENT_COLUMNS)
        .where(
            PAYMENT.c.live,
            PAYMENT.c.purpose == payment["purpose"],
            PAYMENT.c.share == payment["share"],
            or_(*wanted),
        )
        .order_by(PAYMENT.c.payment_id)
        .with_for_update()
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def _take_over(
    connection: Connection, payment: Row, command: Mapping[str, Any], key: Key, caller: Caller
) -> Move:
    """Begins the charge of a PENDING payment that the connection holds locked."""
    method = command["method"]
    _expect_driver(payment, method)
    willing = route(command, method)
    token = command.get("payment_token") or payment["payment_token"]
    before = {"from_provider": payment["provider"], "from_method": payment["method"]}
    # What a charge may say anew is no status and so is set here; the counted labels change with
    # the move, so that the totals leave the old ones and enter the new ones.
    connection.execute(
        update(PAYMENT)
        .where(PAYMENT.c.payment_id == payment["payment_id"])
        .values(
            **{name: payment[name] for name in (*COPIED, "caller_reference", "fare", "metadata")}
            | {"amount": payment["amount"], "currency": payment["currency"]}
            | {"payment_token": token, "method": method}
        )
    )
    earlier = rows.read_transactions(connection, payment["payment_id"])
    transaction = new_transaction(
        payment=payment,
        number=len(earlier) + 1,
        kind=type_of(command),
        amount=payment["amount"],
        provider=willing[0].name,
        caller=caller,
        moment=datetime.now(UTC),
    )
    edge = transitions.edge_of(payment, transaction["type"], Word.ASKED)
    return moves.begin(
        connection,
        payment=payment,
        transaction=transaction,
        news=[News(edge.event, caller, None, before)],
        caller=caller,
        key=key,
        fallbacks=tuple(provider.name for provider in willing[1:]),
        status=edge.to,
        provider=willing[0].name,
        method=method,
        payment_token=token,
    )
