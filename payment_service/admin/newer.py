"""What the first page of a list asks by itself: whether rows came in above its first one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Response, abort, request
from marshmallow import ValidationError

from payment_service.schemas.lists import Cursor


def top(rows: Sequence[Mapping[str, Any]], moment: str, key: str) -> str:
    """The first row, for an address; where there is none, whatever comes from now on is newer.
    `moment` and `key` are the columns that the list is ordered by."""
    if not rows:
        return str(Cursor(datetime.now(UTC), 0))
    return str(Cursor(rows[0][moment], rows[0][key]))


def than() -> Cursor:
    """The row that the page had on top. Aborts with 422."""
    try:
        return Cursor.read(request.args.get("than", ""))
    except ValidationError:
        abort(422, "This is no row that a list of ours had on top.")


def told(count: int, most: int) -> Response:
    """In words, where nobody counts beyond `most`; 204 for none."""
    if not count:
        return Response(status=204)
    many = f"{most} or more" if count >= most else str(count)
    return Response(f"{many} newer: show", mimetype="text/plain")
