"""Counts where the services read a value by name that mypy can't check: row["amount"] where the
value is Any, as in a dict[str, Any]. `python -m scripts.any_subscripts [-v]`

mypy itself says what each expression's type is: it builds the package once and keeps the
types, among which those of subscripts by a string literal are looked at.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mypy import build
from mypy.config_parser import parse_config_file
from mypy.find_sources import create_source_list
from mypy.nodes import IndexExpr, StrExpr
from mypy.options import Options
from mypy.types import AnyType, get_proper_type

PART = "payment_service.services"


def by_name(folder: Path) -> dict[tuple[int, int, str], list[Path]]:
    """In which files of a folder a subscript by this string stands at this line and column."""
    found: dict[tuple[int, int, str], list[Path]] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                place = (node.lineno, node.col_offset, str(node.slice.value))
                found.setdefault(place, []).append(path)
    return found


def subscripts() -> Iterator[tuple[Path, int]]:
    """File and line of each whose value is Any."""
    options = Options()
    parse_config_file(options, lambda: None, "pyproject.toml", sys.stdout, sys.stderr)
    options.incremental = False  # the cache keeps no types of expressions
    options.export_types = True
    result = build.build(create_source_list(["payment_service"], options), options)
    places = by_name(Path(*PART.split(".")))
    for expression, found in result.types.items():
        if isinstance(expression, IndexExpr) and isinstance(expression.index, StrExpr):
            place = (expression.line, expression.column, expression.index.value)
            if isinstance(get_proper_type(found), AnyType) and places.get(place):
                yield places[place].pop(), expression.line


def main() -> int:
    found = sorted(subscripts())
    for path, count in sorted(Counter(path for path, _ in found).items()):
        print(f"{count:4} {path}")
    if "-v" in sys.argv:
        print(*(f"{path}:{line}" for path, line in found), sep="\n")
    print(f"{len(found)} subscripts by name give Any")
    return 0


if __name__ == "__main__":
    sys.exit(main())
