"""Idempotency keys as a person looks them up: who used one, for what, and what was answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from payment_service.extensions import db
from payment_service.models import IdempotencyKey

KEY = IdempotencyKey.__table__
MOST = 50
"""Callers and operations of one key. Keys are the callers' own, so two may have the same."""


@dataclass(frozen=True)
class KeptKey:
    """One use of a key. Without an answer its outcome is not certain yet; `locked_until` is there
    while its first request has told nobody anything."""

    caller: str
    operation: str
    payment_id: int | None
    transaction_number: int | None
    locked_until: datetime | None
    answer_status: int | None
    answer_body: str | None
    created_at: datetime
    expires_at: datetime


def look_up(key: str) -> list[KeptKey]:
    """Each use of this key that is kept, the newest first."""
    columns = [KEY.c[name] for name in KeptKey.__dataclass_fields__]
    query = select(*columns).where(KEY.c.key == key).order_by(KEY.c.created_at.desc()).limit(MOST)
    with db.engine.connect() as connection:
        return [KeptKey(**row) for row in connection.execute(query).mappings()]
