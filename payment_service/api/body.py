"""Reads a request strictly: JSON once and exactly, queries without surprises."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any, NoReturn

from flask import Request, current_app, g, request
from marshmallow import RAISE, Schema, ValidationError, fields
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import (
    NotFound,
    RequestEntityTooLarge,
    RequestURITooLarge,
    UnsupportedMediaType,
)

from payment_service.api.headers import refuse_repeated
from payment_service.bounds import MOST_BYTES
from payment_service.domain import cards
from payment_service.domain.errors import CardDataRefused, DomainError, InvalidRequest
from payment_service.domain.pages import is_page, is_payers_page
from payment_service.json_objects import each_once
from payment_service.schemas.fields import CARD_REFUSED

DEEPEST = 16
LONGEST_URI = 8000
LONGEST_INTEGER = 40
"""Digits; no field takes that many, and Python's int() is slow with thousands of them."""
# A JSON string, or the rest of the text where its end is missing. Possessive, so that no body
# makes it look at a character twice.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")
_NAN = Decimal("NaN")


class BadJSON(DomainError):
    """The body is not one JSON object."""

    code = "invalid_json"


class Parser(FlaskParser):
    """webargs with our strictness: unknown, repeated and null are refused, numbers are exact."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"json": RAISE, "query": RAISE}  # noqa: RUF012

    def load_json(self, req: Request, schema: Schema) -> Any:
        g.body = read_json(req, optional=getattr(schema, "body_optional", False))
        return g.body

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        return single_query(req)

    def handle_error(
        self,
        error: ValidationError,
        req: Request,
        schema: Schema,
        *,
        error_status_code: int | None = None,
        error_headers: Any = None,
    ) -> NoReturn:
        """Raises InvalidRequest, or CardDataRefused where a card number was the fault."""
        messages = error.messages if isinstance(error.messages, dict) else {}
        errors: dict[str, Any] = next(iter(messages.values()), {})
        if CARD_REFUSED in json.dumps(errors):
            raise CardDataRefused(CARD_REFUSED, errors)
        raise InvalidRequest(f"wrong: {', '.join(map(str, errors))}", errors)


def read_json(req: Request, *, optional: bool) -> dict[str, Any]:
    """The body as an object, numbers with a point as Decimal.

    Raises BadJSON, UnsupportedMediaType, RequestEntityTooLarge.
    """
    data = req.get_data(cache=True)
    if len(data) > MOST_BYTES:
        raise RequestEntityTooLarge
    if not data:
        if optional:
            return {}
        raise BadJSON("the body is empty; send a JSON object")
    if req.mimetype != "application/json":
        raise UnsupportedMediaType("send the body as application/json")
    try:
        text = data.decode("utf-8")
        if _depth(text) > DEEPEST:
            raise BadJSON(f"the body is nested deeper than {DEEPEST}")
        body = json.loads(
            text,
            parse_float=_exact,
            parse_int=_integer,
            parse_constant=_exact,
            object_pairs_hook=each_once,
        )
    except UnicodeDecodeError:
        raise BadJSON("the body is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise BadJSON(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadJSON("the body must be a JSON object")
    return body


def single_query(req: Request) -> dict[str, str]:
    """The query parameters. Raises InvalidRequest for one that is given twice."""
    repeated = [name for name, values in req.args.lists() if len(values) > 1]
    if repeated:
        raise InvalidRequest(
            f"given more than once: {', '.join(repeated)}",
            {name: ["given more than once"] for name in repeated},
        )
    return req.args.to_dict()


def reads_as_it_comes(view: Any) -> Any:
    """For a view that is sent what others have decided on: any body, query and headers."""
    view.reads_as_it_comes = True
    return view


def refuse_surprises() -> None:
    """Before each request: no endless URI, no NUL and no card number in it, no query and no body
    where none is read, no header with two values where one is read. What forms may hold, pages look
    at themselves."""
    view = current_app.view_functions.get(request.endpoint or "")
    if len(request.full_path) > LONGEST_URI:
        raise RequestURITooLarge
    if "\x00" in request.path:
        raise NotFound
    if getattr(view, "reads_as_it_comes", False) or is_payers_page(request.path):
        # What others have decided on. Payers' pages are known by their path, because a broken link
        # has no view; of what a provider's page sends, nothing is read.
        return
    refuse_repeated(request.environ)
    known, queries, reads_body = _read_by(view)
    _refuse_card_numbers(known)
    if view is None:
        return
    if request.args and not queries and request.path.startswith("/v1/"):
        names = sorted(request.args)
        raise InvalidRequest(
            f"unknown query parameters: {', '.join(names)}",
            {name: ["Unknown field."] for name in names},
        )
    if not reads_body and not is_page(request.path) and _has_body():
        raise InvalidRequest("no body is read here; send none")


@cache
def _read_by(view: Any) -> tuple[Mapping[str, fields.Field[Any]], bool, bool]:
    """The query parameters that a view reads, whether it reads any, and whether it reads a body."""
    documented = getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", [])
    queries = [parameter["schema"] for parameter in documented if parameter["in"] == "query"]
    known = {name: field for query in queries for name, field in query.fields.items()}
    return known, bool(queries), any(parameter["in"] == "json" for parameter in documented)


def _has_body() -> bool:
    """Whether the request brought a body. One that comes in chunks has no length: reading its first
    byte tells."""
    chunked = "Transfer-Encoding" in request.headers
    return bool(request.content_length or (chunked and request.stream.read(1)))


def _refuse_card_numbers(known: Mapping[str, fields.Field[Any]]) -> None:
    """Searches the path and the query. What a route or a field reads as an integer is an id, and
    not searched: trips and orders are numbered by others, and with many digits.

    Raises CardDataRefused.
    """
    parts = request.view_args.values() if request.view_args else [request.path]
    if any(isinstance(part, str) and cards.in_url(part) for part in parts):
        raise CardDataRefused(f"the path {CARD_REFUSED}")
    for name, values in request.args.lists():
        texts = [] if isinstance(known.get(name), fields.Integer) else values
        if any(map(cards.in_url, [name, *texts])):
            raise CardDataRefused(CARD_REFUSED, {cards.masked(name): [CARD_REFUSED]})


def _exact(text: str) -> Decimal:
    """A number with a point, exactly. One with an exponent, NaN or Infinity comes as NaN, which
    no field takes: so the answer names the field."""
    return Decimal(text) if text.lstrip("-")[0].isdigit() and "e" not in text.lower() else _NAN


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= LONGEST_INTEGER else _NAN


def _depth(text: str) -> int:
    """How deep arrays and objects are nested, counted without recursion."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return 0
    depth = deepest = 0
    for char in _BRACKETS.findall(_STRING.sub("", text)):
        depth += 1 if char in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
