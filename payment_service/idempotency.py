"""Idempotency keys: fingerprint, find, answer, reap. The claim itself is part of begin."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from payment_service.config import settings
from payment_service.domain import jsontext
from payment_service.domain.errors import IdempotencyKeyInProgress, IdempotencyKeyReused
from payment_service.extensions import db
from payment_service.models import IdempotencyKey
from payment_service.models.columns import sql_types
from payment_service.statements import Statement

_TABLE = IdempotencyKey.__table__
_KEY = "caller = :caller AND operation = :operation AND key = :key"

# An answered key is gone once its time is over, reaped or not. An unanswered one stays until
# somebody has been told how it ended.
_OVER = "idempotency_keys.expires_at <= :now AND idempotency_keys.answer_body IS NOT NULL"

CLAIM_ANEW = f"""ON CONFLICT (caller, operation, key) DO UPDATE SET
        {", ".join(f"{c.name} = EXCLUDED.{c.name}" for c in _TABLE.c if not c.primary_key)}
        WHERE {_OVER}"""
"""What an INSERT of a claim does where the key was used before: nothing, but for one that is over.
Takes :now."""

KEEP_ANSWER = f"""UPDATE idempotency_keys SET
        answer_status = coalesce(answer_status, :answer_status),
        answer_body = coalesce(answer_body, :answer_body), locked_until = NULL
        WHERE {_KEY} AND payment_id = :payment_id"""  # noqa: S608 - our own columns
"""Keeps the answer about the payment that the key was claimed for, unless another was kept first;
an answer of null is a provisional one."""

CLAIMED = f"""
    fingerprint, payment_id, transaction_number, locked_until, answer_status, answer_body
    FROM idempotency_keys WHERE {_KEY} AND NOT ({_OVER})"""
"""What a SELECT gives of a key's claim; found() reads it. Takes :now, as CLAIM_ANEW does."""

_FIND = Statement(
    "find_key",
    f"SELECT {CLAIMED}",
    {**sql_types(_TABLE), "now": "timestamptz"},
)
_STORE = f"""
    {KEEP_ANSWER}
    RETURNING answer_status, answer_body
"""
_RELEASE = f"""
    UPDATE idempotency_keys SET locked_until = NULL
    WHERE {_KEY} AND answer_body IS NULL
    RETURNING transaction_number
"""  # noqa: S608 - our own columns
_CLAIM = f"""
    INSERT INTO idempotency_keys (caller, operation, key, fingerprint, payment_id,
        transaction_number, locked_until, answer_status, answer_body, created_at, expires_at)
    VALUES (:caller, :operation, :key, :fingerprint, :payment_id, :number, :locked_until,
        :answer_status, :answer_body, :now, :expires_at)
    {CLAIM_ANEW}
    RETURNING key
"""  # noqa: S608 - our own columns
_POINT = f"""
    UPDATE idempotency_keys SET transaction_number = :number
    WHERE {_KEY} AND answer_body IS NULL AND locked_until > :now
"""  # noqa: S608 - our own columns
_FREE = f"""
    DELETE FROM idempotency_keys
    WHERE {_KEY}
      AND answer_body IS NULL AND locked_until IS NOT NULL
"""  # noqa: S608 - our own columns
REAPED_AT_ONCE = 5000

_REAP = """
    DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
        SELECT k.ctid FROM idempotency_keys k
        LEFT JOIN transactions t ON t.payment_id = k.payment_id AND t.number = k.transaction_number
        WHERE k.expires_at < :now
          AND (k.answer_body IS NOT NULL OR t.status IN ('SUCCESS', 'FAILED') OR t.status IS NULL)
        LIMIT :at_once FOR UPDATE OF k SKIP LOCKED))
"""


@dataclass(frozen=True)
class Key:
    """A caller's key on one operation (method and path), with what the body said."""

    caller: str
    operation: str
    key: str
    fingerprint: str

    def columns(self) -> dict[str, str]:
        return {"caller": self.caller, "operation": self.operation, "key": self.key}


@dataclass(frozen=True)
class Found:
    """A key that was claimed before: answered, or (with no answer) to be resumed by look-up."""

    payment_id: int | None
    transaction_number: int | None
    answer_status: int | None
    answer_body: str | None


class KeyTaken(Exception):
    """Another request claimed the key: what was found of it, or None where it is to be looked at
    again, because that happened in the meantime."""

    def __init__(self, found: Found | None = None) -> None:
        super().__init__(found)
        self.found = found


class _Claim(NamedTuple):
    """A row of idempotency_keys, as CLAIMED reads it."""

    fingerprint: str
    payment_id: int | None
    transaction_number: int | None
    locked_until: datetime | None
    answer_status: int | None
    answer_body: str | None


def fingerprint(fields: Mapping[str, Any]) -> str:
    """A JSON object with a hash per field, so that a mismatch can name what differs.

    Member order and white space of the body make no difference.
    """
    hashes = {
        name: hashlib.sha256(jsontext.canonical(value)).hexdigest()[:32]
        for name, value in sorted(fields.items())
    }
    return jsontext.dumps(hashes)


def find(key: Key) -> Found | None:
    """The key's earlier claim, if any.

    Raises IdempotencyKeyReused if the body differs, IdempotencyKeyInProgress while the first
    request holds the lock.
    """
    now = datetime.now(UTC)
    rows = _FIND.read({**key.columns(), "now": now})
    return found(key, rows[0], now) if rows else None


def found(key: Key, claimed: Sequence[Any], now: datetime) -> Found:
    """The key's claim as CLAIMED gave it. Raises as `find` does."""
    row = _Claim(*claimed)
    if row.fingerprint != key.fingerprint:
        raise _reused(row.fingerprint, key.fingerprint)
    if row.answer_body is None and row.locked_until is not None and row.locked_until > now:
        raise IdempotencyKeyInProgress(
            "the first request with this key is still at work; ask again in a second",
            retry_after=1,
        )
    return Found(row.payment_id, row.transaction_number, row.answer_status, row.answer_body)


def claim(
    connection: Connection,
    key: Key,
    *,
    payment_id: int,
    number: int | None,
    now: datetime,
    answer: tuple[int, str] | None = None,
) -> None:
    """Claims the key for the payment's request `number`, in the transaction that begins it.

    With an `answer` there is nothing to wait for. Raises KeyTaken.
    """
    times = lifetime(now)
    values = {
        **key.columns(),
        "fingerprint": key.fingerprint,
        "payment_id": payment_id,
        "number": number,
        "now": now,
        "locked_until": None if answer else times["locked_until"],
        "expires_at": times["expires_at"],
        "answer_status": answer[0] if answer else None,
        "answer_body": answer[1] if answer else None,
    }
    if connection.execute(text(_CLAIM), values).one_or_none() is None:
        raise KeyTaken


def free(connection: Connection, key: Key) -> bool:
    """Forgets a claim under which surely nothing was sent; False if its retry was told already."""
    return connection.execute(text(_FREE), key.columns()).rowcount == 1


def point_to(connection: Connection, key: Key, *, number: int) -> bool:
    """The key's move goes on under another request of the same payment.

    False, and nothing done, if a retry took the key over: then nobody may send any more.
    """
    values = {**key.columns(), "number": number, "now": datetime.now(UTC)}
    return connection.execute(text(_POINT), values).rowcount == 1


def store(
    connection: Connection, key: Key, *, payment_id: int, status: int, body: str
) -> tuple[int, str]:
    """Keeps a definite answer about the payment that the key was claimed for, unless another was
    kept first. Gives the one that counts."""
    answer = {"answer_status": status, "answer_body": body}
    values = {**key.columns(), **answer, "payment_id": payment_id}
    kept = connection.execute(text(_STORE), values).one_or_none()
    return (kept.answer_status, kept.answer_body) if kept else (status, body)


def release(connection: Connection, key: Key) -> int | None:
    """The first request tells its caller something provisional: from here on, retries look up.

    From here on also nobody frees the key or sends under it. Gives the number of the request that
    it stands for; None if the key was freed before, or is answered.
    """
    return connection.execute(text(_RELEASE), key.columns()).scalar_one_or_none()


def lifetime(now: datetime) -> dict[str, datetime]:
    """The times of a key that is claimed now."""
    return {
        "locked_until": now + timedelta(seconds=settings().idempotency_lock_seconds),
        "expires_at": now + timedelta(seconds=settings().idempotency_key_ttl),
    }


def reap() -> dict[str, int]:
    """Deletes keys whose time is over, so many at once that no lock is long. One step."""
    with db.engine.begin() as connection:
        gone = connection.execute(
            text(_REAP), {"now": datetime.now(UTC), "at_once": REAPED_AT_ONCE}
        ).rowcount
    return {"reaped": gone, "more": gone // REAPED_AT_ONCE}


def _reused(first: str, second: str) -> IdempotencyKeyReused:
    before, after = json.loads(first), json.loads(second)
    fields = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    return IdempotencyKeyReused(
        "this key was used for another request; it differs in " + ", ".join(fields),
        {name: ["differs from the first request with this key"] for name in fields},
    )
