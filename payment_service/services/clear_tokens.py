"""Payments of before tokens were encrypted: theirs are encrypted behind the service's back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, text
from tqdm import tqdm

from payment_service.domain.acts import Act
from payment_service.domain.callers import Caller
from payment_service.extensions import db
from payment_service.models.columns import keyring
from payment_service.models.keyring import NoKey
from payment_service.services import audit_log
from payment_service.services.moves import tokens
from payment_service.services.moves.rows import PAYMENT

AT_ONCE = 500
"""Payments of a transaction: some 20 ms, in which nobody else can change them."""

_NEXT = select(PAYMENT.c.payment_id, PAYMENT.c.reference, PAYMENT.c.payment_token)
_CHANGE = text("""
    UPDATE payments SET payment_token = NULL, token = new.kept
    FROM unnest(CAST(:ids AS bigint[]), CAST(:kept AS bytea[])) AS new (id, kept)
    WHERE payment_id = new.id""")


def count() -> int:
    """Payments whose token stands as it was sent. Looks at every payment."""
    query = select(func.count()).where(PAYMENT.c.payment_token.is_not(None))
    with db.engine.connect() as connection:
        return connection.execute(query).scalar_one()


def seal(*, caller: Caller, progress: bool = True) -> int:
    """Encrypts each, in small transactions, beside a service that runs; how many there were. May be
    killed at any line and started again. What audit sees of a token stays as it is. Raises NoKey
    without any key."""
    if keyring().newest is None:
        raise NoKey("ENCRYPTION_KEYS is not set")
    done, after, by = 0, 0, caller
    with tqdm(
        desc="payments.payment_token", unit=" rows", disable=None if progress else True
    ) as bar:
        while ids := _next(after, by if not done else None):
            done, after = done + len(ids), ids[-1]
            bar.update(len(ids))
    return done


def _next(after: int, by: Caller | None) -> list[int]:
    query = (
        _NEXT.where(PAYMENT.c.payment_token.is_not(None), PAYMENT.c.token.is_(None))
        .where(PAYMENT.c.payment_id > after)
        .order_by(PAYMENT.c.payment_id)
        .limit(AT_ONCE)
        .with_for_update()
    )
    with db.engine.begin() as connection:
        found: list[Any] = list(connection.execute(query))
        if not found:
            return []
        kept = [tokens.sealed(row.payment_token, row.reference) for row in found]
        ids = [row.payment_id for row in found]
        connection.execute(_CHANGE, {"ids": ids, "kept": kept})
        if by:
            audit_log.write(
                actor=by.name,
                act=Act.KEYS_ROTATED,
                object="payments.payment_token",
                body={"key": keyring().newest},
                connection=connection,
            )
    return ids
