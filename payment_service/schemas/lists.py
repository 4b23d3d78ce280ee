"""Paging: by limit and offset, by page, or by cursor; the cursor itself, and the page."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from payment_service.domain.errors import UseCursor
from payment_service.schemas import fields as own
from payment_service.schemas import queries

MOST = 100
DEEPEST = 10_000
"""Rows that a page may pass over. The database reads all of them: at 900,000 of a million rows a
page took 3.4 s. A cursor passes over none."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = re.compile(r"(-?[0-9]{1,18})\.([0-9]{1,19})\Z", re.ASCII)


@dataclass(frozen=True)
class Cursor:
    """Where a page ended: the values, of its last row, that the list is ordered by."""

    created_at: datetime
    row_id: int

    def __str__(self) -> str:
        micros = (self.created_at - _EPOCH) // timedelta(microseconds=1)
        return base64.urlsafe_b64encode(f"{micros}.{self.row_id}".encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Cursor:
        """The cursor of that text. Raises ValidationError for one that we did not give out."""
        try:
            plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
            match = _CURSOR.match(plain)
            if match is None:
                raise ValueError
            moment = _EPOCH + timedelta(microseconds=int(match.group(1)))
            cursor = cls(moment, int(match.group(2)))
            if str(cursor) != text or cursor.row_id > own.BIGINT:
                raise ValueError
        except (ValueError, OverflowError, binascii.Error):
            raise ValidationError("must be a next_cursor that this list gave out") from None
        return cursor


@dataclass(frozen=True)
class Page:
    """Which part of a list is wanted: from a cursor or an offset on, at most `limit` rows."""

    limit: int
    offset: int
    cursor: Cursor | None
    total: bool

    @property
    def beside(self) -> datetime | None:
        """The time of the row that it goes on from."""
        return self.cursor.created_at if self.cursor else None


class CursorField(fields.Field[Cursor]):
    wire: ClassVar[own.Wire] = {
        "type": "string",
        "pattern": "^[A-Za-z0-9_-]+$",
        "description": "The next_cursor of the page before",
    }

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Cursor:
        return Cursor.read(str(value))


_FAR = {"description": f"Rows from {DEEPEST} on are reached by cursor only: 422 `use_cursor`"}


class ListQuery(Schema):
    """limit and offset, or page and page_size, or cursor (with limit)."""

    limit = queries.QueryNumber(validate=validate.Range(1, MOST))
    offset = queries.QueryNumber(validate=validate.Range(0, own.BIGINT), metadata=_FAR)
    page = queries.QueryNumber(validate=validate.Range(1, 10**9), metadata=_FAR)
    page_size = queries.QueryNumber(validate=validate.Range(1, MOST))
    cursor = CursorField()
    total = fields.Boolean(truthy={"true", "1"}, falsy={"false", "0"})

    @validates_schema
    def one_way(self, data: dict[str, Any], **kwargs: Any) -> None:
        ways = [
            [name for name in names if name in data]
            for names in (("limit", "offset"), ("page", "page_size"))
        ]
        if all(ways):
            raise ValidationError("use limit and offset, or page and page_size", ways[1][0])
        if "cursor" in data and ("offset" in data or ways[1]):
            raise ValidationError("goes with limit only", "cursor")

    @post_load
    def as_page(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        size = data.pop("page_size", MOST)
        limit = data.pop("limit", size)
        named = "offset" if "offset" in data else "page"
        offset = data.pop("offset", (data.pop("page", 1) - 1) * size)
        if offset > DEEPEST:
            told = f"a page may begin at row {DEEPEST} at most; beyond, go on by next_cursor"
            raise UseCursor(told, {named: [told]})
        cursor, total = data.pop("cursor", None), data.pop("total", False)
        return {"page": Page(limit, offset, cursor, total), "filters": data}


class PageSchema(own.AnswerSchema):
    """What stands beside the rows in each page of a list. A subclass adds the rows, and puts their
    name before these in its Meta.fields."""

    sometimes = frozenset({"total"})

    count = fields.Integer()
    has_more = fields.Boolean()
    next_cursor = fields.String(allow_none=True)
    limit = fields.Integer()
    offset = fields.Integer()
    total = fields.Integer()


BESIDE_ROWS = tuple(PageSchema().fields)
"""Names, in their order on the wire."""
