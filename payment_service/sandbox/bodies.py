"""Reading a request's body: JSON, its fields, and when two requests ask the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from payment_service.sandbox.refusals import Invalid


class Field(NamedTuple):
    """One field of a body: what it must be, in words and as a check; a default if it may lack."""

    wanted: str
    accepts: Callable[[Any], bool]
    default: Any = ...


def parsed(raw: bytes) -> Any:
    """A JSON body; None if it is none."""
    try:
        return json.loads(raw)
    except ValueError:
        return None


def checked(body: Any, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The known fields of a body, defaults filled in; others are ignored. Raises Invalid."""
    if not isinstance(body, dict):
        raise Invalid("the body must be a JSON object")
    values = {}
    for name, field in fields.items():
        value = body.get(name, field.default)
        if value is ... or not field.accepts(value):
            raise Invalid(f"{name}: {field.wanted}")
        values[name] = value
    return values


def fingerprint(kind: str, target: str | None, body: Any) -> str:
    """Equal for requests that ask the same; member order and white space make no difference."""
    canonical = json.dumps([kind, target, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
