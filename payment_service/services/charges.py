"""Charges a finished trip or an order: the hot path of the house."""

from __future__ import annotations

from psycopg2.errors import NotNullViolation

from payment_service import idempotency
from payment_service.domain.callers import Caller
from payment_service.domain.commands import Charge
from payment_service.domain.errors import InvalidRequest
from payment_service.idempotency import Key
from payment_service.models import IdempotencyKey
from payment_service.models.columns import sql_types
from payment_service.services import payers, payment_methods, pricing, routing, takeover
from payment_service.services.moves import pages, retries, tokens
from payment_service.services.moves.answers import Ended
from payment_service.services.moves.operations import new_transaction
from payment_service.services.moves.rows import PAYMENT, TRANSACTION, dumped
from payment_service.services.moves.steps import Move
from payment_service.statements import Statement, hot

_SAID = (
    *(name for name in pricing.COPIED if name != "payment_token"),
    *(
        "token",
        "amount",
        "currency",
        "method",
        "provider",
        "reference",
        "caller",
        "caller_reference",
    ),
    *("metadata", "fare"),
)
"""What a charge says of its payment; the other columns begin as the table says."""


def _beginning(name: str, more: str = "") -> Statement:
    """The statement, with one part `more` put in."""
    # Claim of the key, payment and request in one statement: all, or nothing at all. A live payment
    # for the trip or the order (any unique index), or history that paid for the trip and lies on
    # another share (services/moves/due.py), leaves `p` empty; the scalar sub-select then makes
    # payment_id null in the request, and that violation takes the claim of the key back with it. A
    # key that was claimed before comes back with its claim, unless that is over: a retry is told in
    # this one trip. Nothing returned means that the key was claimed by another request while this
    # one waited.
    sql = f"""
    WITH n AS (
        SELECT nextval(pg_get_serial_sequence('payments', 'payment_id')) AS payment_id
    ), k AS (
        INSERT INTO idempotency_keys (caller, operation, key, fingerprint, payment_id,
            transaction_number, locked_until, created_at, expires_at)
        SELECT :caller, :operation, :key, :fingerprint, n.payment_id, 1, :locked_until, :now,
            :key_expires_at FROM n
        {idempotency.CLAIM_ANEW}
        RETURNING payment_id
    ), p AS (
        INSERT INTO payments (payment_id, status, created_at, updated_at, {", ".join(_SAID)})
        SELECT k.payment_id, 'PROCESSING', :now, :now, {", ".join(f":{c}" for c in _SAID)} FROM k
        WHERE NOT EXISTS (
            SELECT FROM payments h WHERE h.live AND h.trip_id = :trip_id AND h.purpose = 'FARE'
                AND h.share > 0 AND h.status IN ('SUCCESS', 'PARTIALLY_REFUNDED')
                AND h.expires_at IS NULL)
        ON CONFLICT DO NOTHING RETURNING payment_id
    ), t AS (
        INSERT INTO transactions (payment_id, number, type, status, amount, currency, provider,
            reference, description, request_id, traceparent, created_at, send_before, due_at)
        SELECT (SELECT payment_id FROM p), 1, :type, 'PROCESSING', :amount, :currency, :provider,
            :t_reference, :description, :request_id, :traceparent, :now, :send_before, :due_at
        FROM k
        RETURNING payment_id, transaction_id
    {more})
    SELECT transaction_id, NULL AS fingerprint, payment_id, NULL AS transaction_number,
        NULL AS locked_until, NULL AS answer_status, NULL AS answer_body FROM t
    UNION ALL SELECT NULL, {idempotency.CLAIMED} AND NOT EXISTS (SELECT FROM k)
    """  # noqa: S608 - our own columns
    return Statement(name, sql, _TYPES)


_TYPES = {
    **sql_types(IdempotencyKey.__table__),
    **sql_types(TRANSACTION),
    **sql_types(PAYMENT),
    "t_reference": "text",
    "said": "bytea",
    **dict.fromkeys(("now", "key_expires_at"), "timestamptz"),
}
_BEGIN = _beginning("begin_charge")
# A part of its own: nothing is said of most payers, and its plan would open the table for nothing.
_BEGIN_WITH_PAYER = _beginning(
    "begin_charge_with_payer",
    """), y AS (
        INSERT INTO payers (payment_id, reference, said)
        SELECT payment_id, :reference, :said FROM p
    """,
)


def charge(*, command: Charge, key: Key, caller: Caller) -> Ended:
    """Charges the trip's fare or the order's amount, once, whatever is repeated or dies.

    Raises domain errors; api/errors.py has their statuses.
    """
    # A trip is asked for its fare first, so a finished key is worth a look before that. An order
    # is not, and its begin gives the key's claim just as well: one round trip less for a new key.
    return retries.once(
        key=key,
        caller=caller,
        begin=lambda: _begin(command, key, caller),
        look_first=command.trip_id is not None,
    )


def _begin(command: Charge, key: Key, caller: Caller) -> Move:
    """Begins the charge of a new payment, or of the PENDING one that the trip or order has."""
    if command.trip_id is None and command.order_id is None:
        raise InvalidRequest.field("trip_id", "send trip_id or order_id")
    payers.expect_usable(command.said)
    tokens.expect_keepable(command.payment_token)
    payment = pricing.priced(command, caller)
    sent, command = command, payment_methods.named(command, payment)
    willing = routing.route(command, payment)
    moment = payment["created_at"]
    payment["provider"] = willing[0].name
    transaction = new_transaction(
        payment=payment,
        number=1,
        kind=routing.type_of(command),
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
        "token": tokens.sealed(command.payment_token, payment["reference"]),
        "metadata": dumped(payment["metadata"]),
        "fare": dumped(payment["fare"]),
    }
    begin = _BEGIN
    if command.said:
        begin = _BEGIN_WITH_PAYER
        values["said"] = pages.sealed_said(command.said, payment["reference"])
    try:
        with hot() as connection:
            written = begin.one(connection, values)
    except NotNullViolation:
        return takeover.take_over_live(payment, sent, key, caller)
    if written is None:
        raise idempotency.KeyTaken
    transaction_id, *claimed = written
    if transaction_id is None:
        raise idempotency.KeyTaken(idempotency.found(key, claimed, moment))
    _, payment_id, *_ = claimed
    transaction["transaction_id"] = transaction_id
    payment["payment_id"] = transaction["payment_id"] = payment_id
    fallbacks = tuple(provider.name for provider in willing[1:])
    return Move(payment, transaction, caller, key, fallbacks=fallbacks, said=command.said)
