"""The keys of encrypted columns: which of them the rows need, and putting rows under the newest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, func, inspect, select, text
from tqdm import tqdm

from payment_service.config import BadSettings
from payment_service.domain.acts import Act
from payment_service.domain.callers import Caller
from payment_service.extensions import db
from payment_service.models import columns
from payment_service.models.columns import Encrypted, Sealed, Secret, keyring
from payment_service.models.keyring import NoKey, NotGenuine
from payment_service.services import audit_log

AT_ONCE = 500
"""Rows of a transaction: some 20 ms, in which nobody else can change them."""


@dataclass(frozen=True)
class Rotated:
    """Rows that are under the newest key now, and those that no key opens."""

    rows: int = 0
    unreadable: int = 0


def needed() -> dict[tuple[str, str], int]:
    """Rows by place (table.column) and the id of their key. Looks at every row."""
    found: Counter[tuple[str, str]] = Counter()
    with db.engine.connect() as connection:
        for column in _encrypted():
            key = columns.key_id(column.name)
            asked = select(key, func.count()).select_from(column.table)
            for name, count in connection.execute(asked.where(column.is_not(None)).group_by(key)):
                found[_place(column), name] = count
    return dict(found)


def refuse_missing() -> None:
    """Raises BadSettings if rows need a key that ENCRYPTION_KEYS leaves out."""
    missing = {name for column in _encrypted() for name in _names(column)} - {*keyring().names}
    if not missing:
        return
    lost = {at: count for at, count in needed().items() if at[1] in missing}
    told = [f"{count} rows of {place} need {name}" for (place, name), count in sorted(lost.items())]
    raise BadSettings({"ENCRYPTION_KEYS": [f"leaves out what is needed: {', '.join(told)}"]})


def rotate(*, caller: Caller, progress: bool = True) -> Rotated:
    """Puts every row under the newest key, in small transactions, beside a service that runs. May
    be killed at any line and started again. Who did it is written down with the first rows of each
    column. Raises NoKey without any key."""
    if keyring().newest is None:
        raise NoKey("ENCRYPTION_KEYS is not set")
    rows = unreadable = 0
    for column in _encrypted():
        with tqdm(desc=_place(column), unit=" rows", disable=None if progress else True) as bar:
            after = None
            by: Caller | None = caller
            while True:
                after, done, failed = _next(column, after, by)
                rows, unreadable = rows + done, unreadable + failed
                by = None if done else by
                if after is None:
                    break
                bar.update(done + failed)
    return Rotated(rows, unreadable)


def _encrypted() -> list[Column[Any]]:
    """The encrypted columns of the tables that are there: migrations may be still to come."""
    there = set(inspect(db.engine).get_table_names())
    return [
        column
        for table in db.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Encrypted) and table.name in there
    ]


def _place(column: Column[Any]) -> str:
    return f"{column.table.name}.{column.name}"


def _names(column: Column[Any]) -> list[str]:
    """The ids of the keys that a column's rows need: a step of the index for each."""
    with db.engine.connect() as connection:
        key = columns.key_id(column.name)
        asked = select(func.min(key)).select_from(column.table).where(column.is_not(None))
        names: list[str] = []
        name = connection.scalar(asked)
        while name is not None:
            names.append(name)
            name = connection.scalar(asked.where(key > name))
    return names


def _next(column: Column[Any], after: Any, by: Caller | None) -> tuple[Any, int, int]:
    """Does the next rows behind the one with the key `after`, and writes down who it is done `by`.
    The last one's key (None: there were none), how many it did, and how many no key opens."""
    kind = column.type
    assert isinstance(kind, Encrypted)
    table, name, key = column.table.name, column.name, kind.key
    behind = "" if after is None else f"AND {key} > :after"
    behind_newest = f"{name} IS NOT NULL AND {columns.key_id(name)} <> :newest"
    asked = f"""
        SELECT {key} FROM {table} WHERE {behind_newest} {behind}
        ORDER BY {key} LIMIT :at_once"""  # noqa: S608 - our own columns
    # Locked in the order of the table's own numbers, as all others lock several rows of it.
    order = ", ".join(one.name for one in column.table.primary_key)
    locked = f"""
        SELECT {key}, {name} FROM {table} WHERE {key} = ANY(:found) AND {behind_newest}
        ORDER BY {order} FOR UPDATE"""  # noqa: S608 - our own columns
    change = f"""
        UPDATE {table} SET {name} = new.kept
        FROM unnest(CAST(:rows AS {columns.sql_types(column.table)[key]}[]),
                    CAST(:kept AS bytea[])) AS new (row_key, kept)
        WHERE {key} = new.row_key"""  # noqa: S608 - our own columns
    values = {"newest": keyring().newest, "at_once": AT_ONCE, "after": after}
    with db.engine.begin() as connection:
        found = connection.execute(text(asked), values).scalars().all()
        if not found:
            return None, 0, 0
        rows = connection.execute(
            text(locked), {"newest": keyring().newest, "found": list(found)}
        ).all()
        changed = {row: kept for row, old in rows if (kept := _resealed(kind, row, old))}
        if changed:
            given = {"rows": list(changed), "kept": list(changed.values())}
            connection.execute(text(change), given)
        if changed and by:
            audit_log.write(
                actor=by.name,
                act=Act.KEYS_ROTATED,
                object=_place(column),
                body={"key": keyring().newest},
                connection=connection,
            )
    return found[-1], len(changed), len(rows) - len(changed)


def _resealed(kind: Encrypted, row: Any, kept: bytes) -> bytes | None:
    """Under the newest key; None if no key opens it."""
    try:
        return kind.seal(Secret(row, Sealed(bytes(kept), kind.place).opened(row)))
    except (NoKey, NotGenuine):
        return None
