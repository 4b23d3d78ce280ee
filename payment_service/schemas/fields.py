"""Fields that the wire is made of: ids, amounts, currencies, plain text, UTC times.

A field's `wire` is what its JSON Schema says beyond its type. A field with a `component`, which is
a name and a JSON Schema, is described once under that name. api/openapi.py reads both.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Mapping
from datetime import UTC
from decimal import Decimal
from enum import EnumType, StrEnum
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, validate

from payment_service.domain import money
from payment_service.domain.cards import contains_card_number
from payment_service.domain.events import iso

BIGINT = 2**63 - 1
CARD_REFUSED = "looks like a card number; send the provider's token instead"

NO_NUL = r"^[^\u0000]*$"
PLAIN_DECIMAL = r"^[0-9]{1,18}(\.[0-9]{1,18})?$"
_PLAIN_DECIMAL = re.compile(PLAIN_DECIMAL.removesuffix("$") + r"\Z", re.ASCII)

Wire = dict[str, Any]


Write = Callable[[Any, Mapping[str, Any]], Any]


class AnswerSchema(Schema):
    """What goes out: every field is always there, but for those in `sometimes`, which are left
    out where they are null.

    Dumps mappings only, by a list of writers that is made once: marshmallow's own way looks up
    each attribute through six calls, and took a tenth of a charge's time in Python.
    """

    sometimes: ClassVar[frozenset[str]] = frozenset()
    example: ClassVar[Wire | None] = None
    """For the document."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._writers = [
            (name, field.attribute or name, _writer(field))
            for name, field in self.dump_fields.items()
        ]

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """The mapping, or (many) each of the mappings, as JSON types."""
        if self.many if many is None else many:
            return [self.write(item) for item in obj]
        return self.write(obj)

    def write(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The mapping as JSON types. A field that the mapping lacks is left out."""
        body: dict[str, Any] = {}
        for name, source, write in self._writers:
            value = row.get(source, _MISSING)
            if value is _MISSING or (value is None and name in self.sometimes):
                continue
            body[name] = value if value is None or write is None else write(value, row)
        return body


_MISSING = object()


def _writer(field: fields.Field[Any]) -> Write | None:
    """How a field's value is written; None for one that JSON takes as it is."""
    if isinstance(field, fields.Nested):
        nested = field.schema
        return lambda value, row: nested.dump(value)
    if isinstance(field, fields.List):
        inner = _writer(field.inner)
        return inner and (lambda value, row: [inner(item, row) for item in value])
    if isinstance(field, Amount):
        return lambda value, row: money.format_amount(value, row["currency"])
    if isinstance(field, UTCTime):
        return lambda value, row: iso(value.astimezone(UTC))
    return None


class Id(fields.Integer):
    """A positive bigint as a JSON number; never a boolean, a string or a fraction."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(1, BIGINT), **kwargs)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError("must be an integer")
        return value


class Flag(fields.Boolean):
    """A JSON true or false; 1 and "true" are refused."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value


class PlainText(fields.String):
    """Text that PostgreSQL and JSON can keep, without card numbers (`searched`)."""

    wire: ClassVar[Wire] = {"pattern": NO_NUL}

    def __init__(
        self, *, longest: int, shortest: int = 0, searched: bool = True, **kw: Any
    ) -> None:
        self.searched = searched
        super().__init__(validate=validate.Length(shortest, longest), **kw)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        if not isinstance(value, str):
            raise ValidationError("must be a string")
        return checked_text(value, searched=self.searched)


def checked_text(value: str, *, searched: bool = True) -> str:
    """`value`, if it can be kept. Raises ValidationError, with CARD_REFUSED for a card number."""
    if "\x00" in value:
        raise ValidationError("must not contain NUL")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValidationError("must not contain lone surrogates") from None
    if searched and contains_card_number(value):
        raise ValidationError(CARD_REFUSED)
    return value


class Metadata(fields.Dict):
    """Flat strings: at most 50 keys of at most 40 characters, values of at most 500."""

    wire: ClassVar[Wire] = {
        "maxProperties": 50,
        "propertyNames": {"minLength": 1, "maxLength": 40, "pattern": NO_NUL},
        "additionalProperties": {"type": "string", "maxLength": 500, "pattern": NO_NUL},
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> dict[str, str]:
        if not isinstance(value, dict):
            raise ValidationError("must be an object")
        if len(value) > 50:
            raise ValidationError("must have at most 50 keys")
        for name, item in value.items():
            if not isinstance(item, str):
                raise ValidationError("values must be strings")
            if not 1 <= len(name) <= 40:
                raise ValidationError("keys must have 1 to 40 characters")
            if len(item) > 500:
                raise ValidationError("values must have at most 500 characters")
            checked_text(name, searched=False)
            checked_text(item)
        return value


class WordOut(fields.String):
    """A word of a closed vocabulary, as answers tell it."""

    def __init__(self, vocabulary: type[StrEnum], **kw: Any) -> None:
        words = [str(word) for word in vocabulary]
        self.component = (vocabulary.__name__, {"type": "string", "enum": words})
        super().__init__(**kw)


class Word(fields.String):
    """One of a closed vocabulary, any case, with aliases; goes out upper case."""

    def __init__(
        self, words: typing.Iterable[str], aliases: Mapping[str, str] | None = None, **kw: Any
    ) -> None:
        self.words = [str(word) for word in words]
        self.aliases = aliases or {}
        known = [*self.words, *(name for name, word in self.aliases.items() if word in self.words)]
        self.wire: Wire = {"enum": known, "description": "In any case"}
        if isinstance(words, EnumType):
            self.component = (f"{words.__name__}Input", {"type": "string", **self.wire})
            if not self.aliases:  # the same words as in answers, and so the same thing
                self.component = (words.__name__, {"type": "string", "enum": known})
        super().__init__(**kw)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        word = value.upper() if isinstance(value, str) and value.isascii() else ""
        word = self.aliases.get(word, word)
        if word not in self.words:
            raise ValidationError(f"must be one of {', '.join(self.words)}")
        return word


class Currency(fields.String):
    """An ISO 4217 code of money in use, any case."""

    component: ClassVar[tuple[str, Wire]] = (
        "Currency",
        {
            "type": "string",
            "enum": sorted(money.EXPONENTS),
            "description": "ISO 4217, in any case",
        },
    )

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        code = value.upper() if isinstance(value, str) and value.isascii() else ""
        if code not in money.EXPONENTS:
            raise ValidationError("must be an ISO 4217 code of money in use, such as INR")
        return code


class AmountIn(fields.Field[str | int | Decimal]):
    """An amount in major units as it came: a string or a JSON number, read exactly.

    The currency that says how many decimals it may have is known only later, to the service.
    """

    wire: ClassVar[Wire] = {
        "oneOf": [
            {"type": "string", "pattern": PLAIN_DECIMAL},
            {"type": "number", "exclusiveMinimum": 0, "maximum": 10**18},
        ],
        "description": "Major units, with no more decimals than the currency has; no exponent",
        "examples": ["104.86"],
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str | int | Decimal:
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise ValidationError("must be a string or a number, such as 104.86")
        if not _PLAIN_DECIMAL.match(str(value)):
            raise ValidationError("must be plain digits, such as 104.86")
        return value


class AmountMinor(fields.Integer):
    """An amount in minor units: a JSON integer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.Range(1, BIGINT), **kwargs)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError("must be an integer in minor units")
        return value


class Amount(fields.String):
    """Minor units out as a decimal string with exactly the currency's decimals."""

    wire: ClassVar[Wire] = {"pattern": r"^[0-9]+(\.[0-9]+)?$", "examples": ["104.86"]}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        if value is None:
            return None
        currency = obj["currency"] if isinstance(obj, Mapping) else obj.currency
        return money.format_amount(value, currency)


class UTCTime(fields.DateTime):
    """A time out: UTC, ISO 8601, Z."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else iso(value.astimezone(UTC))
