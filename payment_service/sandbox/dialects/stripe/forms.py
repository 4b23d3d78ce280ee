"""Stripe's way of writing nested values into a form: metadata[reference]=..., expand[0]=..."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The fields of a form or a query as objects and lists of texts. Raises ValueError for a name
    that means nothing."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        parts = _NAME.fullmatch(name)
        if parts is None:
            raise ValueError(name)
        path = [parts[1], *re.findall(r"\[([^\[\]]*)\]", parts[2])]
        at: Any = found
        for here, following in zip(path, [*path[1:], None], strict=True):
            if following is None:
                _put(at, here, value)
            else:
                listed = following == "" or following.isdigit()
                at = at.setdefault(here, [] if listed else {})
    return found


def _put(at: Any, name: str, value: str) -> None:
    if isinstance(at, list):
        at.append(value)
    else:
        at[name] = value
