"""The rows that the money path carries: their types say what the tables say, and no function of
the services takes or gives a dict of anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

import pytest
from sqlalchemy import JSON, Column, DateTime

from payment_service.services.moves import rows

SERVICES = Path(rows.__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        # `payment_token` is one of both columns that may hold it.
        (rows.PaymentRow, [column for column in rows.PAYMENT_COLUMNS if column.name != "token"]),
        (rows.TransactionRow, list(rows.TRANSACTION.c)),
        (rows.RefundRow, list(rows.REFUND.c)),
    ],
)
def test_a_row_is_typed_as_its_table(row: type, columns: list[Column[Any]]) -> None:
    """A column that is added to a model and not here would be read as if it were not there."""
    assert {name: _kind(hint) for name, hint in get_type_hints(row).items()} == {
        column.name: (_python(column), bool(column.nullable)) for column in columns
    }


def test_what_a_change_writes_has_the_payments_types() -> None:
    payment = get_type_hints(rows.PaymentRow)
    changes = get_type_hints(rows.PaymentChanges)
    assert {name: payment[name] for name in changes} == changes


def _kind(hint: Any) -> tuple[type, bool]:
    """The Python type of a column, and whether it may be null."""
    inner = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    one = next(kind for kind in inner if kind is not type(None))
    return getattr(one, "__origin__", one), type(None) in inner


def _python(column: Column[Any]) -> type:
    if isinstance(column.type, JSON):
        return dict
    return datetime if isinstance(column.type, DateTime) else column.type.python_type


def signatures(source: str) -> Iterator[tuple[str, str]]:
    """Each function's name with the types of what it takes and gives, aliases written out."""
    tree = ast.parse(source)
    aliases = {
        target.id: ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            args = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            hints = [arg.annotation for arg in (*args, node.args.vararg, node.args.kwarg) if arg]
            written = " ".join(ast.unparse(hint) for hint in (*hints, node.returns) if hint)
            yield node.name, " ".join(aliases.get(word, word) for word in written.split())


def loose(source: str) -> list[str]:
    return [name for name, types in signatures(source) if "dict[str, Any]" in types]


def test_no_function_of_the_services_takes_or_gives_a_dict_of_anything() -> None:
    found = {path.name: loose(path.read_text()) for path in SERVICES.rglob("*.py")}
    assert not {name: functions for name, functions in found.items() if functions}


def test_a_dict_of_anything_is_found() -> None:
    assert loose("def f(row: dict[str, Any]) -> None: ...") == ["f"]
    assert loose("def f(*, rows: list[dict[str, Any]]) -> None: ...") == ["f"]
    assert loose("Row = dict[str, Any]\ndef f() -> Row: ...") == ["f"]
    assert loose("def f(row: Mapping[str, Any]) -> dict[str, int]: ...") == []
