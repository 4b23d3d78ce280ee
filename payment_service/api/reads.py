"""What was read made into a response: its body, and the tag by which a caller that reads it again
is told that nothing changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, g, request

from payment_service.api.auth import rider
from payment_service.domain.jsontext import ascii_line
from payment_service.services.reading import Seen
from payment_service.version import VERSION

JSON = "application/json"


def known(form: str = "") -> list[str]:
    """The editions that the caller says it has, of what is told in this `form`."""
    if "If-None-Match" not in request.headers:
        return []
    begin = _tag("", form)
    tags = request.if_none_match.as_set(include_weak=True)
    return [tag.removeprefix(begin) for tag in tags if tag and tag.startswith(begin)]


def tell(seen: Seen, write: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Response:
    """The body that `write` makes of what was read; 304 without one if the caller has it."""
    if seen.row is None:
        return unchanged(seen.edition)
    g.payment_id = seen.row.get("payment_id")  # for the log
    return tagged(written(write(seen.row)), seen.edition)


def tagged(response: Response, edition: str | None = None, form: str = "") -> Response:
    """The response with its tag; without an `edition` it is made of the body itself."""
    edition = edition or hashlib.sha256(response.get_data()).hexdigest()[:32]
    tag = _tag(edition, form)
    if "If-None-Match" in request.headers and request.if_none_match.contains_weak(tag):
        return unchanged(edition, form)
    return _with(response, tag)


def unchanged(edition: str, form: str = "") -> Response:
    """That the caller has it already."""
    return _with(Response(status=304), _tag(edition, form))


def _tag(edition: str, form: str) -> str:
    """It names the release too, because another one may show the same thing otherwise; and that it
    is for a rider, who is shown less."""
    if rider() is not None:
        form = f"{form}-rider"
    return f"{VERSION}-{form}-{edition}" if form else f"{VERSION}-{edition}"


def _with(response: Response, tag: str) -> Response:
    response.headers["ETag"] = f'"{tag}"'
    response.headers["Cache-Control"] = "private, no-cache"  # kept, and asked again each time
    return response


def written(body: Mapping[str, Any]) -> Response:
    """The body, without a tag. A page of a list has none: any row that comes or goes changes it."""
    return Response(ascii_line(body), content_type=JSON)
