"""Settings that have one value for all, and others for single providers or currencies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from marshmallow import ValidationError, fields

Value = TypeVar("Value")


@dataclass(frozen=True)
class ByName(Generic[Value]):
    """What holds for all providers, or currencies, but for those that are named."""

    usual: Value
    named: Mapping[str, Value] = field(default_factory=dict)

    def of(self, name: str) -> Value:
        return self.named.get(name, self.usual)


ByProvider = ByName
ByCurrency = ByName


class Each(fields.Field[ByName[Any]]):
    """`10`, `one=20`, or both: `10,one=20`. Without a usual value the default's one stays. Names
    are kept as `spelled` makes them."""

    def __init__(self, kind: fields.Field[Any], spelled: Callable[[str], str] = str.lower) -> None:
        super().__init__()
        self._kind, self._spelled = kind, spelled

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> ByName[Any]:
        parts = [[side.strip() for side in part.split("=")] for part in value.split(",")]
        usual = [part[0] for part in parts if len(part) == 1]
        pairs = [part for part in parts if len(part) == 2]
        named = {
            self._spelled(name): self._kind.deserialize(text)
            for name, text in pairs
            if name and text
        }
        if len(usual) > 1 or len(usual) + len(named) < len(parts):
            raise ValidationError(
                "must be a value for all, name=value for single ones, or both, with commas between,"
                " each name once"
            )
        if usual:
            return ByName(self._kind.deserialize(usual[0]), named)
        return ByName((data or {})[attr or ""].usual, named)


class EachNamed(Each):
    """`one=20,two=5`: only for those that are named. The rest keep the default's usual value."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> ByName[Any]:
        names = [part.partition("=")[0].strip() for part in value.split(",") if "=" in part]
        if len(names) < value.count(",") + 1 or len({*map(str.upper, names)}) < len(names):
            raise ValidationError(
                "must be name=value, several with commas between, each name once, such as"
                " INR=5000.00,KWD=20.000"
            )
        return super()._deserialize(value, attr, data, **kwargs)
