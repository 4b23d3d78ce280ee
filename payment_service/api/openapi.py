"""The OpenAPI document: what the fields say of themselves, the key's header, all problems."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_instance
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields

from payment_service import problems
from payment_service.api.idempotent import HEADER
from payment_service.problems import Kind
from payment_service.schemas.fields import AnswerSchema
from payment_service.version import VERSION

KEY = "IdempotencyKey"
"""The header's name among the document's components."""

KEY_PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "description": "A key of the caller's own, one per intent. The same key and body give the "
    "first answer again. May be sent as idempotency_key in the body instead. Sent twice, the same "
    "value is one, different values are refused.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "example": "trip-32-charge",
}

IF_NONE_MATCH = "IfNoneMatch"
"""The header's name among the document's components."""

IF_NONE_MATCH_PARAMETER: dict[str, Any] = {
    "name": "If-None-Match",
    "description": "The ETag of an answer that the caller has: 304 without a body if it still is "
    "what would be answered.",
    "schema": {"type": "string"},
    "example": '"1.0.0-32.5.1763632800.000000"',
}

BEARER_AUTH = "bearerAuth"
"""The scheme's name among the document's components."""

SETTINGS: dict[str, Any] = {
    "API_TITLE": "Payment service",
    "API_VERSION": VERSION,
    "OPENAPI_VERSION": "3.1.0",
    "OPENAPI_URL_PREFIX": "/",
    "OPENAPI_JSON_PATH": "openapi.json",
    "OPENAPI_SWAGGER_UI_PATH": "/docs",
    "OPENAPI_SWAGGER_UI_URL": "static/swagger-ui/",  # turns the page on; templates/docs.html
    "API_SPEC_OPTIONS": {
        "info": {
            "summary": "Charge a finished trip, refund it, fetch the receipt.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {"url": "/", "description": "Where this document came from"},
            {"url": "/api", "description": "The same, behind a gateway that keeps /api"},
            {
                "url": "http://127.0.0.1:{port}",
                "description": "On this machine, by make run",
                "variables": {"port": {"default": "8082", "description": "SERVICE_PORT"}},
            },
        ],
        "security": [{BEARER_AUTH: []}],
    },
}

ABOUT = """\
What is not read is refused: unknown fields and query parameters, and a body sent to an operation \
that describes none (a GET or a DELETE), are 422.

Amounts are decimal strings with exactly the currency's decimals. Times are UTC.

An operation that moves money takes an idempotency key, one per intent. Whatever happened to the \
first request, sending it again with its key and body is safe and gives its answer.

Who calls shows a bearer token (a JWT). What an operation's `security` lists is the scope that \
the token must have; no scope includes another. A rider's token (role `rider`) reads that rider's \
own payments, refunds and receipts; another's is 404, like one that is not there. Where the \
service runs with AUTH_MODE=off, on one machine, no token is asked for.

Every answer but those to probes says how the caller's limit stands: `RateLimit-Limit` requests \
are taken in its time, `RateLimit-Remaining` of them are left, and in `RateLimit-Reset` seconds \
there is room for more. The same is said under `X-RateLimit-`.

## Errors

Every error is a problem document (RFC 9457) with a stable `code`. Where an operation says nothing \
of a status below, the request did not get as far as an operation.

| status | code | meaning |
|---|---|---|
"""

BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "A caller's token. Its `sub` is the caller's name, to which idempotency keys "
    "belong.",
}

# What an operation may answer by what it is; views name the others. 414 is not among them: it is
# about the request line, before an operation is chosen.
_ALWAYS = (400, 422, 429, 500)  # two values of one header; a body where none is read
_OF_THE_API = (503,)  # the database
_OF_A_BODY = (413, 415)
_OF_A_TOKEN = (401, 403, 503)  # 503: the keys of tokens can't be had

_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds", "schema": {"type": "integer", "minimum": 0}}
}
_CHALLENGE = {"WWW-Authenticate": {"description": "As RFC 6750", "schema": {"type": "string"}}}
_HEADERS = {
    **dict.fromkeys((409, 429, 503), _RETRY_AFTER),
    **dict.fromkeys((401, 403), _CHALLENGE),
}
REPLAYED = {
    "Idempotent-Replayed": {
        "description": "true where the answer was kept from an earlier request with this key",
        "schema": {"type": "string", "enum": ["true"]},
    }
}

TAGGED = {
    "ETag": {
        "description": "Another one as soon as anything in the answer is different",
        "schema": {"type": "string"},
    }
}


AGED = {
    "Data-Age": {
        "description": "How many seconds old the rows may be; absent unless a replica answered",
        "schema": {"type": "integer"},
    }
}


class Converter(OpenAPIConverter):
    """The members of an AnswerSchema are always there, but for those that say otherwise."""

    def schema2jsonschema(self, schema: Any) -> dict[str, Any]:
        made: dict[str, Any] = super().schema2jsonschema(schema)  # type: ignore[no-untyped-call]
        instance = resolve_schema_instance(schema)
        if isinstance(instance, AnswerSchema):
            made["required"] = sorted(made["properties"].keys() - instance.sometimes)
            if instance.example is not None:
                made["examples"] = [instance.example]
        return made

    def field2property(self, field: fields.Field[Any]) -> dict[str, Any]:
        """A field with a component of its own refers to it, and may have a description beside."""
        if not hasattr(field, "component"):
            made: dict[str, Any] = super().field2property(field)
            return made
        name, described = field.component
        assert self.spec is not None  # made by the plugin
        known = self.spec.components.schemas.get(name)
        if known is None:
            self.spec.components.schema(name, dict(described))
        elif known != described:
            raise ValueError(f"two things in the document are called {name}")
        beside = {word: said for word, said in field.metadata.items() if word == "description"}
        return {"$ref": f"#/components/schemas/{name}", **beside}


class Plugin(MarshmallowPlugin):
    Converter = Converter

    def init_spec(self, spec: Any) -> None:
        super().init_spec(spec)
        assert self.converter is not None  # made by init_spec
        self.converter.add_attribute_function(own_words)  # type: ignore[no-untyped-call]


def own_words(self: Converter, field: fields.Field[Any], **kwargs: Any) -> dict[str, Any]:
    """apispec's hook: what a field of ours adds to its JSON Schema."""
    wire: dict[str, Any] = getattr(field, "wire", {})
    return {name: value for name, value in wire.items() if name not in field.metadata}


def statuses(*, watching: bool, has_body: bool, is_open: bool) -> Iterable[int]:
    """The statuses that an operation may answer with a problem, by what it is."""
    yield from _ALWAYS
    if not watching:
        yield from _OF_THE_API
    if has_body:
        yield from _OF_A_BODY
    if not is_open:
        yield from _OF_A_TOKEN


def problem_name(status: int) -> str:
    """The name of a status's problems among the document's responses. Python's own names of
    statuses change with its version."""
    return f"Problem{status}"


def describe(spec: APISpec, problem: type[Schema], content_type: str, kinds: list[Kind]) -> None:
    """Puts among the components what operations refer to: the key's header, and a response for
    each status that tells a problem, with all codes that it may carry."""
    table = [f"| {kind.status} | `{kind.code}` | {_line(kind)} |\n" for kind in kinds]
    spec.options["info"] = {**spec.options["info"], "description": ABOUT + "".join(table)}
    spec.components.security_scheme(BEARER_AUTH, BEARER)
    spec.components.parameter(KEY, "header", KEY_PARAMETER, lazy=True)
    spec.components.parameter(IF_NONE_MATCH, "header", IF_NONE_MATCH_PARAMETER, lazy=True)
    for status in sorted({kind.status for kind in kinds}):
        codes = [kind for kind in kinds if kind.status == status]
        told = [f"- `{kind.code}`: {_line(kind)}" for kind in codes]
        examples = {kind.code: {"value": _example(kind)} for kind in codes}
        response = {
            "description": "\n".join([HTTPStatus(status).phrase, "", *told]),
            "content": {content_type: {"schema": problem, "examples": examples}},
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        }
        spec.components.response(problem_name(status), response, lazy=True)


def _line(kind: Kind) -> str:
    says = " ".join(kind.says.split()).removesuffix(".")
    return f"{says[:1].upper()}{says[1:]}."


def _example(kind: Kind) -> dict[str, Any]:
    return problems.document(kind.status, kind.code, _line(kind), {})
