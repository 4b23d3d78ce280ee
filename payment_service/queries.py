"""What is read and shown: a SELECT of the models' columns, made into text once, sent in one trip.

A read used to take five round trips (a ping, BEGIN, two SELECTs, ROLLBACK). Each gives the
interpreter away and waits to get it back, which costs more than what the database does in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Select,
    and_,
    case,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.sql import visitors

from payment_service import replica
from payment_service.extensions import READS
from payment_service.statements import Statement

Row = dict[str, Any]


class Query:
    """A SELECT of a model's columns, with `lists` of other tables' rows that belong to each row:
    all of it is one statement, one round trip and one moment.

    A list gives its table's rows in the `order` that it names.
    With `unless`, a condition, its rows come without their lists (None) where it holds.
    """

    def __init__(
        self,
        name: str,
        query: Select[Any],
        *,
        lists: Mapping[str, Listed] | None = None,
        unless: ColumnElement[bool] | None = None,
        prepared: bool = True,
    ) -> None:
        lists = lists or {}
        for label, listed in lists.items():
            rows = listed.as_json()
            shown = rows if unless is None else case((unless, None), else_=rows)
            query = query.add_columns(shown.label(label))
        self._names = [str(column.key) for column in query.selected_columns]
        self._lists = [(label, listed) for label, listed in lists.items()]
        self._statement = _compiled(name, query, prepared)

    def rows(self, **values: object) -> list[Row]:
        """Its rows by the columns' names; `values` are those of its bind parameters. Raises
        Disconnected, and psycopg2's other errors."""
        return self.rows_within(None, **values)

    def rows_within(self, seconds: float | None, **values: object) -> list[Row]:
        """Its rows, if the database has them after that time. Raises TookTooLong, too."""
        found = []
        given = replica.answer(lambda pool: self._statement.read(values, pool, seconds))
        for values_of_row in given:
            row = dict(zip(self._names, values_of_row, strict=True))
            for label, listed in self._lists:
                row[label] = listed.read(row[label])
            found.append(row)
        return found

    def row(self, **values: object) -> Row | None:
        """The first of its rows, if there is one."""
        rows = self.rows(**values)
        return rows[0] if rows else None

    def plan(self, **values: object) -> list[str]:
        """How PostgreSQL would run it for these values."""
        return self._statement.plan(values, READS)


class Listed:
    """The rows of a table that belong to a row of another one."""

    def __init__(
        self,
        columns: Sequence[Column[Any]],
        *where: ColumnElement[bool],
        order: Sequence[ColumnElement[Any]],
    ) -> None:
        self._columns, self._where, self._order = columns, where, order
        self._names = [str(column.name) for column in columns]
        self._times = [str(column.name) for column in columns if isinstance(column.type, DateTime)]

    def as_json(self) -> ColumnElement[Any]:
        """One JSON array with an array for each row."""
        row = func.json_build_array(*self._columns)
        ordered = aggregate_order_by(row, *self._order)
        rows = select(func.json_agg(ordered)).where(and_(*self._where)).scalar_subquery()
        return func.coalesce(rows, func.json_build_array())

    def read(self, found: list[list[Any]] | None) -> list[Row] | None:
        """What PostgreSQL gave for it, as rows by the columns' names."""
        if found is None:
            return None
        rows = [dict(zip(self._names, values, strict=True)) for values in found]
        for row in rows:
            for name in self._times:
                if row[name] is not None:
                    row[name] = datetime.fromisoformat(row[name])
        return rows


_POSTGRESQL: Dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]


def _compiled(name: str, query: Select[Any], prepared: bool) -> Statement:
    """The query as text. Its constants stand in the text, so that PostgreSQL plans for them (a
    partial index serves no parameter); what has no value yet is a :name."""
    constant: Any = visitors.replacement_traverse(query, {}, _in_the_text)
    made = constant.compile(dialect=_POSTGRESQL)
    types = {bind.key: bind.type.compile(dialect=_POSTGRESQL) for bind in made.binds.values()}
    return Statement(name, str(made), types, prepared=prepared)


def _in_the_text(element: Any, **_: Any) -> ColumnElement[Any] | None:
    if not isinstance(element, BindParameter) or element.required:
        return None
    text = element.compile(dialect=_POSTGRESQL, compile_kwargs={"literal_binds": True})
    return literal_column(str(text), element.type)
