"""Column shapes that several tables share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from flask import current_app
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Dialect,
    Identity,
    Index,
    LargeBinary,
    Table,
    Text,
    TypeDecorator,
    literal_column,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.models.keyring import Keyring

UTCTime = TIMESTAMP(timezone=True)


def identity_key() -> Mapped[int]:
    """A bigint primary key that PostgreSQL counts; imports may bring their own ids."""
    return mapped_column(BigInteger, Identity(always=False), primary_key=True)


def money() -> Mapped[int]:
    """A column of minor units; 0 where nothing is said."""
    return mapped_column(BigInteger, server_default=text("0"))


def optional_id() -> Mapped[int | None]:
    return mapped_column(BigInteger)


def optional_text() -> Mapped[str | None]:
    return mapped_column(Text)


def moment() -> Mapped[datetime]:
    return mapped_column(UTCTime)


def optional_moment() -> Mapped[datetime | None]:
    return mapped_column(UTCTime)


def keyring() -> Keyring:
    """The running app's keys."""
    found: Keyring = current_app.extensions["keyring"]
    return found


@dataclass(frozen=True)
class Secret:
    """A text on its way into an encrypted column, of the row with this key."""

    row: int | str
    text: str = field(repr=False)


@dataclass(frozen=True)
class Sealed:
    """What an encrypted column holds."""

    kept: bytes = field(repr=False)
    place: str

    def opened(self, row: int | str) -> str:
        """The text, if it was sealed for the row with this key. Raises NoKey and NotGenuine."""
        return keyring().open(self.kept, f"{self.place}/{row}")


class Encrypted(TypeDecorator[Secret | Sealed]):
    """A column for what is personal or secret: takes a Secret and gives a Sealed, so that no plain
    text gets in by mistake, and none gets out unasked.

    `place` is table.column, and `key` the column of the row's key; both are bound to what is kept.
    The key is unique, and known before the INSERT: a payment's or transaction's reference, or an
    identity that was taken from its sequence first.
    """

    impl = LargeBinary
    cache_ok = True

    def __init__(self, place: str, key: str) -> None:
        super().__init__()
        self.place, self.key = place, key

    @property
    def python_type(self) -> type[bytes]:
        """Of what is kept, for who reads it as it is."""
        return bytes

    def seal(self, secret: Secret) -> bytes:
        """What the column keeps, for statements that SQLAlchemy does not write. Raises NoKey."""
        return keyring().seal(secret.text, f"{self.place}/{secret.row}")

    def process_bind_param(self, value: object, dialect: Dialect) -> bytes | None:
        if value is None:
            return None
        if not isinstance(value, Secret):
            raise TypeError(f"{self.place} takes a Secret")
        return self.seal(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Sealed | None:
        return None if value is None else Sealed(bytes(value), self.place)


def key_id(column: str) -> ColumnElement[str]:
    """The id of the key that an encrypted column's row needs, in SQL."""
    # In words that PostgreSQL gives back as they are, so that Alembic knows its index again.
    return literal_column(f"split_part(encode({column}, 'escape'), ':', 1)", Text)


def key_index(table: str, column: str, *, sparse: bool = False) -> Index:
    """By the key's id: the service asks at its start which keys the rows need. A `sparse` one is of
    those rows alone that have something there."""
    where = text(f"{column} IS NOT NULL") if sparse else None
    return Index(f"ix_{table}_{column}_key", key_id(column), postgresql_where=where)


def one_of(column: str, words: type[StrEnum] | Iterable[str]) -> str:
    """The SQL of a CHECK that holds a column to a closed vocabulary."""
    return f"{column} IN ({', '.join(repr(str(word)) for word in words)})"


def sql_types(table: Table) -> dict[str, str]:
    """The PostgreSQL type of each column, as a prepared statement names those of its parameters."""
    dialect: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return {str(column.name): column.type.compile(dialect=dialect) for column in table.c}
