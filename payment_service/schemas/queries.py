"""Fields of a query string, where everything is text: ids, numbers, times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError, fields, validate

from payment_service.schemas.fields import BIGINT


class QueryId(fields.Integer):
    """A positive bigint as it stands in a query string: ASCII digits only."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.Range(1, BIGINT), **kwargs)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> int:
        return query_integer(value)


class QueryNumber(fields.Integer):
    """A plain integer of a query string, for limits and offsets."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> int:
        return query_integer(value)


class QueryTime(fields.DateTime):
    """A time in a query string: ISO 8601; without an offset it is UTC."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> datetime:
        try:
            moment = datetime.fromisoformat(str(value).replace(" ", "+"))
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValidationError("must be a time such as 2026-11-20T10:00:00Z") from None


def query_integer(value: Any) -> int:
    """An integer of a query string. Raises ValidationError."""
    text = str(value)
    if not (text.isascii() and text.removeprefix("-").isdigit()) or len(text) > 20:
        raise ValidationError("must be an integer")
    return int(text)
