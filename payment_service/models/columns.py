"""Column shapes that several tables share."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Dialect, Identity, Table, Text, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

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


def one_of(column: str, words: type[StrEnum] | Iterable[str]) -> str:
    """The SQL of a CHECK that holds a column to a closed vocabulary."""
    return f"{column} IN ({', '.join(repr(str(word)) for word in words)})"


def sql_types(table: Table) -> dict[str, str]:
    """The PostgreSQL type of each column, as a prepared statement names those of its parameters."""
    dialect: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return {str(column.name): column.type.compile(dialect=dialect) for column in table.c}
