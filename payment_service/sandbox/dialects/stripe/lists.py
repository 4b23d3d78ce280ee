"""Stripe's lists: filters, and a page at a time."""

from __future__ import annotations

from typing import Any

from payment_service.sandbox.dialects.stripe.refusing import bad, missing
from payment_service.sandbox.memory import Row

_FILTERS = {"customer", "payment_intent", "charge", "type"}
_PAGING = {"created", "ending_before", "expand", "limit", "starting_after", "types"}
_BOUNDS = {
    "gt": int.__gt__,
    "gte": int.__ge__,
    "lt": int.__lt__,
    "lte": int.__le__,
}


def page(rows: list[Row], form: dict[str, Any]) -> tuple[list[Row], bool]:
    """The page that is asked for, and whether there are more. Raises StripeSays."""
    for name in form:
        if name not in _FILTERS | _PAGING:
            raise bad(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    limit = _number(form.get("limit", "10"), "limit")
    if not 1 <= limit <= 100:
        raise bad("limit must be from 1 to 100", param="limit")
    found = [row for row in reversed(rows) if _fits(row, form)]
    if after := form.get("starting_after"):
        found = found[_place(found, after, "starting_after") + 1 :]
    if before := form.get("ending_before"):
        found = found[: _place(found, before, "ending_before")][-limit:]
    return found[:limit], len(found) > limit


def inside(form: dict[str, Any]) -> list[str]:
    """What is expanded of each object of the list."""
    wanted = [path for path in form.get("expand") or [] if path.startswith("data.")]
    return [path.removeprefix("data.") for path in wanted]


def _fits(row: Row, form: dict[str, Any]) -> bool:
    created = form.get("created") or {}
    if isinstance(created, str):
        created = {"gte": created, "lte": created}
    for name, moment in created.items():
        if name not in _BOUNDS:
            raise bad(f"Received unknown parameter: created[{name}]", code="parameter_unknown")
        if not _BOUNDS[name](row["created"], _number(moment, "created")):
            return False
    if "types" in form and row["type"] not in form["types"]:
        return False
    return all(row.get(name) == form[name] for name in _FILTERS & form.keys())


def _place(rows: list[Row], row_id: str, param: str) -> int:
    for place, row in enumerate(rows):
        if row["id"] == row_id:
            return place
    raise missing("object", row_id, param, 400)


def _number(text: Any, param: str) -> int:
    if not (isinstance(text, str) and text.isascii() and text.isdigit()):
        raise bad(f"Invalid integer: {text}", code="parameter_invalid_integer", param=param)
    return int(text)
