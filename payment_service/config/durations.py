"""Durations as people write them: 30, 30s, 500ms, 5m, 1h30m, 2d."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from marshmallow import fields

SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_PART = r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)"
_WHOLE = re.compile(f"(?:{_PART})+", re.ASCII)


def seconds(text: str) -> str:
    """The same as a number of seconds; text of another form stays as it is."""
    written = text.strip()
    if not _WHOLE.fullmatch(written):
        return text
    parts = re.findall(_PART, written, re.ASCII)
    units = [list(SECONDS).index(unit) for _, unit in parts]
    if units != sorted(set(units), reverse=True):  # 5s5m: nobody means that
        return text
    total = sum((Decimal(count) * SECONDS[unit] for count, unit in parts), Decimal(0))
    return f"{total.normalize():f}"


class Duration(fields.Float):
    """Seconds, also with units."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> float:
        return super()._deserialize(seconds(value), attr, data, **kwargs)


class WholeDuration(fields.Integer):
    """Whole seconds, also with units."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> int:
        return super()._deserialize(seconds(value), attr, data, **kwargs)
